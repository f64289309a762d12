"""Which channels a notification takes, and what keeps it from one: a function of what was said, and of the time.

The service and the service in memory decide by the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from millrace.contracts.notification import IN_APP, NotificationChannel, Send
from millrace.contracts.recurrence import instant_of, zone_of

BUILT_IN = frozenset(NotificationChannel)


@dataclass(frozen=True, slots=True)
class Said:
    """What a user, or the tenant for all users, has said.

    Attributes:
        preferences: as of the newest `notification.preferences_set`.
        contacts: by channel.
    """

    preferences: Mapping[str, Any] = field(default_factory=dict)
    contacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    locale: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """The inbox shows it at once."""


@dataclass(frozen=True, slots=True)
class Queue:
    """It is sent now."""

    address: str


@dataclass(frozen=True, slots=True)
class Defer:
    """It is sent later."""

    address: str
    reason: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Suppress:
    """It is not sent."""

    reason: str
    detail: str


Step = Show | Queue | Defer | Suppress


def channels_of(wish: Send, own: Said, default: Said) -> tuple[str, ...]:
    """The channels that a notification is meant for, each once."""
    chosen = wish.channels or own.preferences.get("channels") or default.preferences.get("channels") or (IN_APP,)
    return tuple(dict.fromkeys(chosen))


def plan(wish: Send, own: Said, default: Said, configured: Collection[str], now: datetime) -> dict[str, Step]:
    """What is to be done in each channel.

    Args:
        configured: the channels that the service can send through.
    """
    return {channel: _step(wish, channel, own, default, configured, now) for channel in channels_of(wish, own, default)}


def _step(wish: Send, channel: str, own: Said, default: Said, configured: Collection[str], now: datetime) -> Step:
    unwanted = None if wish.critical else objection(wish.category, channel, own, default)
    if unwanted is not None:
        return unwanted
    if channel in BUILT_IN and channel not in configured:
        return Suppress("not-configured", f"the service has no provider for {channel}")
    if channel == IN_APP:
        return Show()
    contact = own.contacts.get(channel)
    address = wish.address_for(channel) or (contact["address"] if contact else None)
    if address is None and channel not in BUILT_IN:
        # An application's own channel may know its users by their ids.
        address = wish.user_id
    if address is None:
        return Suppress("no-address", f"user {wish.user_id} has no contact point for {channel}")
    if not wish.critical and wish.digest is not None:
        return Defer(address, "digest", now + timedelta(seconds=wish.digest.window))
    quiet = None if wish.critical else quiet_until(own, default, now)
    return Queue(address) if quiet is None else Defer(address, "quiet-hours", quiet)


def objection(category: str | None, channel: str, own: Said, default: Said) -> Suppress | None:
    """What the user, or the tenant's default where the user says nothing, has against the channel."""
    both = ((own, "the user's preferences"), (default, "the tenant's defaults"))
    for said, whose in both:
        cell = said.preferences.get("matrix", {}).get(category, {}).get(channel)
        if cell is not None:
            told = f"{whose} have {channel} off for category {category}"
            return None if cell else Suppress("category-off", told)
        wanted = said.preferences.get("categories", {}).get(category)
        if wanted is False:
            return Suppress("category-off", f"{whose} have category {category} off")
        if wanted:
            break
    for said, whose in both:
        channels = said.preferences.get("channels")
        if channels is not None:
            return None if channel in channels else Suppress("channel-off", f"{whose} leave {channel} out")
    return None


def read_meanwhile(channel: str, read_at: datetime | None) -> Suppress | None:
    """Why what was held back is not sent any more: the user knows. A webhook tells a program, which does not."""
    if read_at is None or channel == NotificationChannel.WEBHOOK:
        return None
    return Suppress("read", "it was read before its time came")


def locale_of(wish: Send, own: Said, default: Said) -> str | None:
    """The language that the user is told in."""
    return wish.locale or own.locale or default.locale


def quiet_until(own: Said, default: Said, now: datetime) -> datetime | None:
    """When the quiet hours end that are now; None where there are none now."""
    hours = own.preferences.get("quiet_hours") or default.preferences.get("quiet_hours")
    if not hours:
        return None
    zone = zone_of(hours.get("timezone") or own.timezone or default.timezone or "UTC")
    return end_of_quiet(_clock(hours["start"]), _clock(hours["end"]), zone, now)


def _clock(text: str) -> time:
    # Once recorded it may have whitespace or digits of other scripts, which ISO 8601 has not.
    hour, minute = text.split(":")
    return time(int(hour), int(minute))


def end_of_quiet(start: time, end: time, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The end, in UTC, of the quiet hours that contain `now`; None where they do not.

    They are what the wall clock shows: a night in which the clocks change is an hour shorter or longer.
    """
    local = now.astimezone(zone)
    clock = local.time().replace(tzinfo=None, fold=0)
    if start < end:
        if not start <= clock < end:
            return None
        day = local.date()
    elif clock >= start:
        day = local.date() + timedelta(days=1)
    elif clock < end:
        day = local.date()
    else:
        return None
    return _first_after(day, end, zone, now)


def _first_after(day: date, clock: time, zone: ZoneInfo, now: datetime) -> datetime:
    """The instant after now at which the clocks show that time on that day, or have skipped it."""
    wall = datetime.combine(day, clock)
    first = instant_of(wall, zone)
    # A time that comes twice may be over once already.
    return first if first > now else wall.replace(fold=1, tzinfo=zone).astimezone(UTC)
