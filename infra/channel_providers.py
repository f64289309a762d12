"""Builds each provider from its settings; one that lacks a setting says so for each delivery instead.

Libraries that only one provider needs are loaded with it: they are a fifth of the time in which a service starts.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from adapters.channels.mail import BadAddress, sender
from adapters.channels.mail_file import MailFile
from adapters.channels.mailgun import Mailgun
from adapters.channels.onesignal import OneSignal
from adapters.channels.provider import Provider, Unconfigured
from adapters.channels.sendgrid import SendGrid
from adapters.channels.ses import Ses
from adapters.channels.sigv4 import AwsCredentials
from adapters.channels.smtp import Smtp
from adapters.channels.twilio import Twilio
from adapters.channels.webhook import BadWebhookSecret, WebhookChannel
from infra.settings import Settings
from infra.settings_errors import SettingsError, SettingsProblem
from infra.settings_notifications import NotificationChannel

PROVIDERS = "modules.notifications.providers"
LOCAL_SENDER = "Millrace <millrace@localhost>"
SMTP_PORTS = {"tls": 465, "starttls": 587, "none": 25}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Missing(Exception):
    """Raised when a provider is chosen that lacks a setting.

    Attributes:
        key: of the setting.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is not set")
        self.key = key


@dataclass(frozen=True, slots=True)
class Wanted:
    """A provider that is to be built for a channel.

    Attributes:
        first: whether it is the channel's own `provider`, whose key may be said at the channel.
    """

    settings: Settings
    channel: str
    section: NotificationChannel
    first: bool

    def api_key(self, vendor: str, own: SecretStr | None, shared: SecretStr | None = None) -> str:
        """The first key that is set: the provider's own, the channel's, a common variable's.

        Raises:
            Missing: none is.
        """
        return _secret(f"{PROVIDERS}.{vendor}.api_key", own, self.section.api_key if self.first else None, shared)

    def from_address(self) -> str:
        """The sender of mail.

        Raises:
            Missing: it is not set.
            SettingsError: it is no address.
        """
        key = f"modules.notifications.channels.{self.channel}.from_address"
        address = _text(key, self.section.from_address)
        try:
            sender(address)
        except BadAddress:
            raise _wrong(key, "is no mail address; write name@example.com or Name <name@example.com>") from None
        return address


def build_provider(name: str, wanted: Wanted) -> Provider:
    """The built-in provider of that name.

    Raises:
        SettingsError: one of its settings cannot be used.
    """
    try:
        return BUILDERS[name](wanted)
    except Missing as missing:
        return Unconfigured(name, str(missing))


def _smtp(wanted: Wanted) -> Provider:
    smtp = wanted.settings.modules.notifications.providers.smtp
    host = _text(f"{PROVIDERS}.smtp.host", smtp.host)
    if smtp.security == "none" and smtp.password is not None and host not in LOOPBACK:
        raise _wrong(f"{PROVIDERS}.smtp.security", "none would send the password in clear; use starttls or tls")
    try:
        tls = ssl.create_default_context(cafile=smtp.ca_file)
    except OSError as error:
        raise _wrong(f"{PROVIDERS}.smtp.ca_file", f"cannot be used: {error.strerror or 'no certificates'}") from None
    return Smtp(
        host,
        SMTP_PORTS[smtp.security] if smtp.port is None else smtp.port,
        from_address=wanted.from_address(),
        now=_now,
        security=smtp.security,
        username=smtp.username,
        password=smtp.password.get_secret_value() if smtp.password else None,
        timeout=wanted.section.timeout,
        tls=tls,
    )


def _file(wanted: Wanted) -> Provider:
    folder = wanted.settings.modules.notifications.providers.file.folder or wanted.settings.data / "mail"
    return MailFile(folder, wanted.from_address() if wanted.section.from_address else LOCAL_SENDER, _now)


def _sendgrid(wanted: Wanted) -> Provider:
    own = wanted.settings.modules.notifications.providers.sendgrid
    key = wanted.api_key("sendgrid", own.api_key, wanted.settings.sendgrid_api_key)
    return SendGrid(key, wanted.from_address(), base_url=own.base_url, timeout=wanted.section.timeout)


def _ses(wanted: Wanted) -> Provider:
    own, shared = wanted.settings.modules.notifications.providers.ses, wanted.settings
    credentials = AwsCredentials(
        _secret(f"{PROVIDERS}.ses.access_key_id", own.access_key_id, shared.aws_access_key_id),
        _secret(f"{PROVIDERS}.ses.secret_access_key", own.secret_access_key, shared.aws_secret_access_key),
        own.session_token.get_secret_value() if own.session_token else None,
    )
    region = _text(f"{PROVIDERS}.ses.region", own.region or shared.aws_region)
    return Ses(
        credentials,
        region,
        wanted.from_address(),
        now=_now,
        configuration_set=own.configuration_set,
        base_url=own.base_url,
        timeout=wanted.section.timeout,
    )


def _mailgun(wanted: Wanted) -> Provider:
    own = wanted.settings.modules.notifications.providers.mailgun
    key, domain = wanted.api_key("mailgun", own.api_key), _text(f"{PROVIDERS}.mailgun.domain", own.domain)
    return Mailgun(key, domain, wanted.from_address(), base_url=own.base_url, timeout=wanted.section.timeout)


def _firebase(wanted: Wanted) -> Provider:
    from adapters.channels.firebase import Firebase
    from adapters.channels.google_token import BadServiceAccount, ServiceAccount

    own = wanted.settings.modules.notifications.providers.firebase
    key = f"{PROVIDERS}.firebase.credentials_path"
    path = own.credentials_path or (wanted.section.credentials_path if wanted.first else None)
    try:
        account = ServiceAccount.read(Path(_text(key, None if path is None else str(path))))
    except BadServiceAccount as error:
        raise _wrong(key, str(error)) from None
    return Firebase(account, base_url=own.base_url, timeout=wanted.section.timeout)


def _onesignal(wanted: Wanted) -> Provider:
    own = wanted.settings.modules.notifications.providers.onesignal
    app_id, key = _text(f"{PROVIDERS}.onesignal.app_id", own.app_id), wanted.api_key("onesignal", own.api_key)
    return OneSignal(app_id, key, base_url=own.base_url, timeout=wanted.section.timeout)


def _twilio(wanted: Wanted) -> Provider:
    own = wanted.settings.modules.notifications.providers.twilio
    return Twilio(
        _text(f"{PROVIDERS}.twilio.account_sid", own.account_sid),
        _secret(f"{PROVIDERS}.twilio.auth_token", own.auth_token),
        _text(f"{PROVIDERS}.twilio.sender", own.sender),
        status_callback=own.status_callback,
        base_url=own.base_url,
        timeout=wanted.section.timeout,
    )


def _apprise(wanted: Wanted) -> Provider:
    from adapters.channels.apprise import Apprise

    own = wanted.settings.modules.notifications.providers.apprise
    url = own.push_url if wanted.channel == "push" else own.sms_url
    return Apprise(_secret(f"{PROVIDERS}.apprise.{wanted.channel}_url", url), timeout=wanted.section.timeout)


def _webhook(wanted: Wanted) -> Provider:
    own = wanted.settings.modules.notifications.providers.webhook
    try:
        return WebhookChannel(
            now=_now,
            default_secrets=[secret.get_secret_value() for secret in own.secrets],
            secrets={
                tenant: [secret.get_secret_value() for secret in secrets]
                for tenant, secrets in own.tenant_secrets.items()
            },
            timeout=wanted.section.timeout,
            schemes=own.schemes,
            ports=own.ports,
            allowed=own.allowed_networks,
        )
    except BadWebhookSecret as error:
        raise _wrong(f"{PROVIDERS}.webhook.secrets", str(error)) from None


BUILDERS: Mapping[str, Callable[[Wanted], Provider]] = {
    "smtp": _smtp,
    "file": _file,
    "sendgrid": _sendgrid,
    "ses": _ses,
    "mailgun": _mailgun,
    "firebase": _firebase,
    "onesignal": _onesignal,
    "twilio": _twilio,
    "apprise": _apprise,
    "built-in": _webhook,
}


def _now() -> datetime:
    return datetime.now(UTC)


def _text(key: str, value: str | None) -> str:
    if not value:
        raise Missing(key)
    return value


def _secret(key: str, *given: SecretStr | None) -> str:
    return _text(key, next((each.get_secret_value() for each in given if each is not None), None))


def _wrong(key: str, reason: str) -> SettingsError:
    return SettingsError(SettingsProblem(key, reason))
