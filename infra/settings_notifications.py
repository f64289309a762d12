"""The section `modules.notifications`: channels, the providers behind them, and what is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr

from infra.settings_modules import DAY, Backoff, LivePath, Module, Seconds, Section, Storage, Switch
from infra.settings_providers import Providers
from infra.settings_vendors import require_vendor
from millrace.contracts.job import Retry

Channel = Literal["in-app", "email", "push", "sms", "webhook"]


class NotificationChannel(Switch):
    """One way to reach a user.

    Attributes:
        provider: None means the one that is built in: SMTP where it has a host; a folder for the mail of an embedded
            service; signed calls for webhooks where there is a secret; nobody otherwise.
        fallbacks: providers that help out while the one before them is unavailable.
        api_key, credentials_path: of `provider`; the same can be said under `providers`.
        from_address: of mail; `Name <address>` or an address.
        timeout: seconds for one delivery through one provider.
    """

    provider: str | None = None
    fallbacks: tuple[str, ...] = ()
    api_key: SecretStr | None = None
    from_address: str | None = None
    template_dir: str | None = None
    credentials_path: str | None = None
    timeout: Seconds = 10.0


def _built_in_channels() -> dict[Channel, NotificationChannel]:
    return {"in-app": NotificationChannel(), "email": NotificationChannel(), "webhook": NotificationChannel()}


def _beside_built_in(channels: Any) -> Any:
    """What is said about one channel leaves the others as they are; null turns one off."""
    if not isinstance(channels, dict):
        return channels
    given = {name: {"enabled": False} if section is None else section for name, section in channels.items()}
    return {**_built_in_channels(), **given}


Channels = Annotated[dict[Channel, NotificationChannel], BeforeValidator(_beside_built_in)]


class WebSocket(Switch):
    """The WebSocket of the inbox.

    Attributes:
        path: where the service answers.
        cors_origins: web origins whose pages may use the service, besides `allowed_origins`.
    """

    path: LivePath = "/ws/notifications"
    cors_origins: tuple[str, ...] = ()


class InboxRetention(Section):
    """How long notifications are kept, in seconds."""

    read: Seconds = 30.0 * DAY
    unread: Seconds = 90.0 * DAY


class Templates(Section):
    """Folder of templates."""

    dir: str = "./templates/notifications"


def _delivery_backoff() -> Retry:
    return Retry(delay=5.0)


class DeliverySettings(Section):
    """How notifications are sent through each channel.

    Attributes:
        max_attempts: how often one is tried.
        timeout: seconds that an attempt may take.
        concurrency: attempts at the same time, for each channel; those that hosts of webhooks leave unanswered for a
            second come on top, up to three times as many.
    """

    max_attempts: Annotated[int, Field(ge=1, le=1_000)] = 8
    backoff: Backoff = Field(default_factory=_delivery_backoff)
    timeout: Seconds = 30.0
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 16


class Notifications(Module):
    """Messages to users."""

    storage: Storage = Storage()
    channels: Channels = Field(default_factory=_built_in_channels)
    providers: Providers = Providers()
    websocket: WebSocket = WebSocket()
    retention: InboxRetention = InboxRetention()
    templates: Templates = Templates()
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)

    def vendors(self) -> dict[str, str]:
        """The read model's database and the provider of each enabled channel that names one."""
        providers = {
            f"notifications.channels.{name}.provider": channel.provider
            for name, channel in self.channels.items()
            if channel.enabled and channel.provider is not None
        }
        return {"notifications.storage.type": self.storage.type} | providers

    def require_supported(self) -> tuple[str, ...]:
        """Return when every provider exists, those that help out too: notices for the log.

        Raises:
            UnsupportedVendor: one of them is neither built in nor an installed adapter.
        """
        notices = super().require_supported()
        if self.enabled:
            for name, channel in self.channels.items():
                for fallback in channel.fallbacks if channel.enabled else ():
                    require_vendor(f"notifications.channels.{name}.provider", fallback)
        return notices
