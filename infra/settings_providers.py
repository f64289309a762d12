"""The providers behind the notification channels, each with what it needs."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from infra.settings_modules import Port, Section

BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$", max_length=2_048)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]


def _with_place(url: SecretStr) -> SecretStr:
    if "{address}" not in url.get_secret_value():
        raise ValueError("must have {address} where the recipient stands")
    return url


AppriseUrl = Annotated[SecretStr, AfterValidator(_with_place)]


class Smtp(Section):
    """A mail server.

    Attributes:
        port: default: 465 for `tls`, 587 for `starttls`, 25 for `none`.
        security: `starttls` is required where it is said, not merely tried.
        ca_file: the authority of the server's certificate, where the system does not know it.
    """

    host: Words | None = None
    port: Port | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None


class File(Section):
    """Mail into a folder.

    Attributes:
        folder: default: `mail` in the data folder.
    """

    folder: Path | None = None


class SendGrid(Section):
    """SendGrid.

    Attributes:
        api_key: default: SENDGRID_API_KEY.
        webhook_public_key: of the signed event webhook, by which its calls are verified.
    """

    api_key: SecretStr | None = None
    webhook_public_key: Words | None = None
    base_url: BaseUrl = "https://api.sendgrid.com"


class Ses(Section):
    """Amazon SES.

    Attributes:
        access_key_id, secret_access_key: default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
        region: default: AWS_REGION.
        configuration_set: whose events are published; default: the identity's own.
        topics: ARNs of the Amazon SNS topics that bring its events here.
        base_url: default: the region's own.
    """

    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    region: Words | None = None
    configuration_set: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)] | None = None
    topics: tuple[Words, ...] = ()
    base_url: BaseUrl | None = None


class Mailgun(Section):
    """Mailgun.

    Attributes:
        webhook_signing_key: by which its calls are verified.
        base_url: `https://api.eu.mailgun.net` for domains in Europe.
    """

    api_key: SecretStr | None = None
    webhook_signing_key: SecretStr | None = None
    domain: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+$", max_length=253)] | None = None
    base_url: BaseUrl = "https://api.mailgun.net"


class Firebase(Section):
    """Firebase Cloud Messaging.

    Attributes:
        credentials_path: the JSON file of the service account.
    """

    credentials_path: Path | None = None
    base_url: BaseUrl = "https://fcm.googleapis.com"


class OneSignal(Section):
    """OneSignal."""

    app_id: Words | None = None
    api_key: SecretStr | None = None
    base_url: BaseUrl = "https://api.onesignal.com"


class Twilio(Section):
    """Twilio, or whatever speaks its Messages API.

    Attributes:
        sender: one of our numbers, or the id of a messaging service (`MG…`).
        status_callback: the public address of this service's `/api/notifications/callbacks/twilio`; with it Twilio
            tells later what became of each message.
    """

    account_sid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+$", max_length=64)] | None = None
    auth_token: SecretStr | None = None
    sender: Words | None = None
    status_callback: BaseUrl | None = None
    base_url: BaseUrl = "https://api.twilio.com"


class Apprise(Section):
    """Any service that Apprise knows.

    Attributes:
        sms_url, push_url: as Apprise documents them, with `{address}` where the recipient stands.
    """

    sms_url: AppriseUrl | None = None
    push_url: AppriseUrl | None = None


class Webhook(Section):
    """Signed calls to URLs that users have given.

    Attributes:
        secrets: `whsec_…`, newest first; every one of them signs, so that receivers can change theirs at leisure.
        tenant_secrets: of tenants that have their own.
        allowed_networks: reached although they are not public.
    """

    secrets: tuple[SecretStr, ...] = ()
    tenant_secrets: dict[str, tuple[SecretStr, ...]] = Field(default_factory=dict)
    schemes: tuple[Literal["https", "http"], ...] = ("https", "http")
    ports: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] = (80, 443)
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()


class Providers(Section):
    """What each provider needs.

    Attributes:
        adapters: settings of installed adapters, by the name of their entry point.
    """

    smtp: Smtp = Smtp()
    file: File = File()
    sendgrid: SendGrid = SendGrid()
    ses: Ses = Ses()
    mailgun: Mailgun = Mailgun()
    firebase: Firebase = Firebase()
    onesignal: OneSignal = OneSignal()
    twilio: Twilio = Twilio()
    apprise: Apprise = Apprise()
    webhook: Webhook = Webhook()
    adapters: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
