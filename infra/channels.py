"""The notification channels that the settings ask for."""

from __future__ import annotations

import time
from importlib.metadata import entry_points

from adapters.channels.failover import Failover
from adapters.channels.provider import Provider, Unconfigured
from infra.channel_providers import BUILDERS, Wanted, build_provider
from infra.settings import Settings
from infra.settings_errors import SettingsError, SettingsProblem
from infra.settings_notifications import NotificationChannel

ENTRY_POINTS = "millrace.channels"
INBOX = "in-app"


def build_channels(settings: Settings) -> dict[str, Failover]:
    """Each enabled channel that leaves the house, by name.

    Raises:
        SettingsError: a provider is not known, or one of its settings cannot be used.
    """
    notifications = settings.modules.notifications
    if not notifications.enabled:
        return {}
    notifications.require_supported()
    return {
        name: Failover(name, _providers(settings, name, section), time.monotonic)
        for name, section in notifications.channels.items()
        if section.enabled and name != INBOX
    }


def _providers(settings: Settings, channel: str, section: NotificationChannel) -> list[Provider]:
    first = section.provider or _built_in(settings, channel)
    if first is None:
        return [Unconfigured(channel, f"modules.notifications.channels.{channel}.provider is not set")]
    return [
        _provider(name, Wanted(settings, channel, section, first=place == 0))
        for place, name in enumerate([first, *section.fallbacks])
    ]


def _built_in(settings: Settings, channel: str) -> str | None:
    match channel:
        case "email":
            return "smtp" if settings.modules.notifications.providers.smtp.host else "file"
        case "webhook":
            return "built-in"
        case _:
            return None


def _provider(name: str, wanted: Wanted) -> Provider:
    if name in BUILDERS:
        return build_provider(name, wanted)
    (adapter,) = entry_points(group=ENTRY_POINTS, name=name)
    options = wanted.settings.modules.notifications.providers.adapters.get(name, {})
    try:
        provider: Provider = adapter.load()(options)
    except Exception as error:
        # Whatever a package of somebody else's raises; its text may quote the options.
        key = f"modules.notifications.providers.adapters.{name}"
        raise SettingsError(SettingsProblem(key, f"the adapter cannot be built: {type(error).__name__}")) from None
    return provider
