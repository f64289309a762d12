"""The notification channels that the settings ask for."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import entry_points
from typing import NamedTuple

from adapters.channels.failover import Failover
from adapters.channels.provider import Provider
from infra.channel_providers import BUILDERS, Wanted, build_provider
from infra.settings import Settings
from infra.settings_errors import SettingsError, SettingsProblem

ENTRY_POINTS = "millrace.channels"


class Checked(NamedTuple):
    """One provider of one channel, and what is wrong with it, or None."""

    channel: str
    provider: str
    problem: str | None


async def check_channels(settings: Settings) -> list[Checked]:
    """Connects and signs in at every provider, without sending anything.

    Raises:
        SettingsError: a provider is not known, or one of its settings cannot be used.
    """
    channels = build_channels(settings)
    providers = [(name, provider) for name, channel in channels.items() for provider in channel.providers]
    try:
        problems = await asyncio.gather(*(provider.check() for _, provider in providers))
    finally:
        for channel in channels.values():
            await channel.close()
    return [
        Checked(name, provider.name, problem) for (name, provider), problem in zip(providers, problems, strict=True)
    ]


def build_channels(settings: Settings) -> dict[str, Failover]:
    """Each enabled channel that leaves the house and has a provider, by name.

    Raises:
        SettingsError: a provider is not known, or one of its settings cannot be used.
    """
    notifications = settings.modules.notifications
    if not notifications.enabled:
        return {}
    notifications.require_supported()
    channels: dict[str, Failover] = {}
    for name, section in notifications.channels.items():
        first = section.provider or _built_in(settings, name)
        if section.enabled and first is not None:
            names = [first, *section.fallbacks]
            wanted = [Wanted(settings, name, section, first=place == 0) for place in range(len(names))]
            channels[name] = Failover(name, list(map(_provider, names, wanted)), time.monotonic)
    return channels


def _built_in(settings: Settings, channel: str) -> str | None:
    """The provider of a channel that names none."""
    providers = settings.modules.notifications.providers
    match channel:
        case "email" if providers.smtp.host is not None:
            return "smtp"
        case "email" if settings.database_url is None:
            return "file"
        case "webhook" if providers.webhook.secrets or providers.webhook.tenant_secrets:
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
