"""When something that recurs is due: cron expressions in a time zone, and plain intervals.

A time zone turns a wall-clock time into no instant, one or two. The rules:

- An expression whose hour field is `*` runs in every hour that passes, the repeated one too.
- One that names hours (`3`, `1,13`, `8-17`, `*/2`) runs once for each time that it names. A time that the clocks skip
  is due at the first instant after the gap; a time that comes twice is due the first time. What falls on one instant
  is due once.
- An interval counts seconds and knows no time zone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from itertools import islice, takewhile
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from millrace.contracts.wire import excerpt

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = "minute hour day-of-month month day-of-week"
SECOND = timedelta(seconds=1)
USUAL_CHANGE = timedelta(hours=3)
# Samoa left out a whole day in 2011.
LONGEST_CHANGE = timedelta(hours=25)


class Recurrence(Protocol):
    """Instants in UTC, in order, each once."""

    def after(self, time: datetime) -> datetime | None:
        """The first one later than `time`; None where none comes any more."""
        ...

    def newest(self, first: datetime, until: datetime, limit: int) -> list[datetime]:
        """The last ones from `first`, which is one of them, to `until`, oldest first, at most `limit`.

        Takes time proportional to `limit`, however long ago `first` was.
        """
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Every `seconds` since `anchor`, which is not due itself unless it is later than what is asked for."""

    seconds: float
    anchor: datetime

    def after(self, time: datetime) -> datetime | None:
        step = timedelta(seconds=self.seconds)
        return self.anchor if time < self.anchor else self.anchor + ((time - self.anchor) // step + 1) * step

    def newest(self, first: datetime, until: datetime, limit: int) -> list[datetime]:
        step = timedelta(seconds=self.seconds)
        count = min(limit, (until - first) // step + 1)
        last = first + ((until - first) // step) * step
        return [last - back * step for back in range(count - 1, -1, -1)]


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of five fields, by the wall clock of `zone`."""

    expression: str
    zone: ZoneInfo

    def after(self, time: datetime) -> datetime | None:
        return next(self._following(time), None)

    def newest(self, first: datetime, until: datetime, limit: int) -> list[datetime]:
        following = self.after(first)
        if following is None or following > until:
            return [first][:limit]
        # The wall clock read backwards only says where to begin: the instants themselves are found forwards.
        latest = _wall(until, self.zone)
        oldest = deque(islice(CronSim(self.expression, latest + SECOND, reverse=True), limit), maxlen=1)
        begin = instant_of(oldest[0] if oldest else latest, self.zone)
        found: deque[datetime] = deque(maxlen=limit)
        for change in (USUAL_CHANGE, LONGEST_CHANGE):
            start = max(first, begin - change)
            found = deque([first] if start == first else [], maxlen=limit)
            found.extend(takewhile(lambda due: due <= until, self._following(start)))
            if len(found) == limit or start == first:
                break
        return list(found)

    def _following(self, time: datetime) -> Iterator[datetime]:
        return _by_the_hour(self, time) if names_no_hour(self.expression) else _by_the_clock(self, time)


def recurrence(cron: str | None, every: float | None, timezone: str, anchor: datetime) -> Recurrence:
    """What a schedule's settings mean.

    Args:
        cron: an expression that `normalized` has made; or `every`, seconds.
        anchor: where intervals begin.

    Raises:
        ValueError: neither or both are given, or the zone is not known.
    """
    if (cron is None) == (every is None):
        raise ValueError("give either `cron` or `every`")
    return Cron(normalized(cron), zone_of(timezone)) if cron is not None else Interval(every or 0.0, anchor)


def upcoming(recurring: Recurrence, first: datetime | None, until: datetime | None) -> Iterator[datetime]:
    """The due times from `first` on, until none comes any more or they lie behind `until`."""
    due = first
    while due is not None and (until is None or due <= until):
        yield due
        due = recurring.after(due)


def normalized(expression: str) -> str:
    """The expression in five fields, with a nickname such as `@daily` spelled out.

    Raises:
        ValueError: it is not one, or it names a day that never comes.
    """
    text = " ".join(NICKNAMES.get(expression.strip().lower(), expression).split())
    if text.startswith("@"):
        raise ValueError(f"{expression!r} is not a nickname; known are {', '.join(NICKNAMES)}")
    if len(text.split(" ")) != 5:
        raise ValueError(f"{expression!r} is not a cron expression: it has five fields, {FIELDS}")
    try:
        next(CronSim(text, datetime(2000, 1, 1)))
    except CronSimError as error:
        raise ValueError(f"{expression!r} is not a cron expression ({FIELDS}): {str(error).lower()}") from error
    except StopIteration:
        raise ValueError(f"{expression!r} names a day that does not come in 50 years") from None
    return text.upper()


@lru_cache(maxsize=1_000)
def zone_of(name: str) -> ZoneInfo:
    """The IANA time zone, as it was recorded: it may be one that only the machine has.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _no_zone(name) from error


def known_zone(name: str) -> str:
    """The name of an IANA time zone. Which there are does not depend on the machine.

    Raises:
        ValueError: there is no such zone.
    """
    if name not in _zone_names():
        raise _no_zone(name)
    return name


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    # A machine's own folder may lack some, and may have others, such as `posixrules` or `localtime`.
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def _no_zone(name: str) -> ValueError:
    return ValueError(f"{excerpt(name, 64)!r} is not an IANA time zone; write it like Europe/Berlin")


def names_no_hour(expression: str) -> bool:
    """Whether the expression runs in every hour, whatever the clock calls it."""
    return expression.split(" ")[1] in ("*", "*/1")


def _by_the_clock(cron: Cron, time: datetime) -> Iterator[datetime]:
    """One instant for each wall-clock time."""
    last = time
    for wall in CronSim(cron.expression, _wall(time, cron.zone)):
        due = instant_of(wall, cron.zone)
        if due > last:
            last = due
            yield due


def _by_the_hour(cron: Cron, time: datetime) -> Iterator[datetime]:
    """Every instant at which the wall clock shows a matching time."""
    # As long as the offset from UTC stays, the wall clock runs evenly and can be read without the zone.
    seen, offset, begin = time, _offset(time, cron.zone), _wall(time, cron.zone)
    while True:
        for wall in CronSim(cron.expression, begin):
            due = (wall - offset).replace(tzinfo=UTC)
            if _offset(due, cron.zone) != offset:
                seen = _change(seen, due, cron.zone)
                offset, begin = _offset(seen, cron.zone), _wall(seen, cron.zone) - SECOND
                break
            yield due
            seen = due
        else:
            return


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clock first shows `wall`, or has skipped it."""
    first = wall.replace(tzinfo=zone)
    due = first.astimezone(UTC)
    if due.astimezone(zone).replace(tzinfo=None) == wall:
        return due
    # Read with the offset from before the gap, a skipped time lies after it.
    return _change(due - LONGEST_CHANGE, due, zone)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant in (`before`, `after`] from which on the offset is that of `after`."""
    offset = _offset(after, zone)
    while after - before > SECOND:
        middle = before + (after - before) / 2
        if _offset(middle, zone) == offset:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


def _offset(time: datetime, zone: ZoneInfo) -> timedelta:
    return time.astimezone(zone).utcoffset() or timedelta(0)


def _wall(time: datetime, zone: ZoneInfo) -> datetime:
    return time.astimezone(zone).replace(tzinfo=None)
