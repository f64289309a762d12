"""Builds what reads the calls of providers, for those whose settings have the key to verify them by."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.channels.callback import CallbackReader
from adapters.channels.mailgun_events import MailgunEvents
from adapters.channels.twilio_status import TwilioStatus
from infra.channel_providers import PROVIDERS
from infra.settings import Settings
from infra.settings_errors import SettingsError, SettingsProblem


def build_callbacks(settings: Settings) -> dict[str, CallbackReader]:
    """The readers, by the provider's name.

    Raises:
        SettingsError: a key cannot be used.
    """
    providers = settings.modules.notifications.providers
    readers: list[CallbackReader] = []
    # What verifies signatures is loaded where somebody signs.
    if providers.sendgrid.webhook_public_key is not None:
        from adapters.channels.sendgrid_events import BadPublicKey, SendGridEvents

        try:
            readers.append(SendGridEvents(providers.sendgrid.webhook_public_key))
        except BadPublicKey as error:
            key = f"{PROVIDERS}.sendgrid.webhook_public_key"
            raise SettingsError(SettingsProblem(key, str(error))) from None
    if providers.mailgun.webhook_signing_key is not None:
        key = providers.mailgun.webhook_signing_key.get_secret_value()
        readers.append(MailgunEvents(key, lambda: datetime.now(UTC)))
    if providers.ses.topics:
        from adapters.channels.public_fetch import PublicFetch
        from adapters.channels.ses_events import SesEvents

        try:
            readers.append(SesEvents(providers.ses.topics, PublicFetch(), lambda: datetime.now(UTC)))
        except ValueError as error:
            raise SettingsError(SettingsProblem(f"{PROVIDERS}.ses.topics", str(error))) from None
    if providers.twilio.status_callback is not None and providers.twilio.auth_token is not None:
        token = providers.twilio.auth_token.get_secret_value()
        readers.append(TwilioStatus(token, providers.twilio.status_callback))
    return {reader.name: reader for reader in readers}
