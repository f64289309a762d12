"""The rules for due times by brute force: every minute is looked at, and nothing is computed cleverly."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
MARGIN = timedelta(hours=30)


def due_by_the_rules(expression: str, zone: ZoneInfo, start: datetime, until: datetime) -> list[datetime]:
    """The instants in (`start`, `until`], whole minutes; expressions with numbers, lists, ranges and steps only."""
    minute, hour, day, month, weekday = expression.split()
    minutes, hours, days, months = _set(minute, 0, 59), _set(hour, 0, 23), _set(day, 1, 31), _set(month, 1, 12)
    assert weekday == "*"

    def matches(wall: datetime) -> bool:
        return wall.minute in minutes and wall.hour in hours and wall.day in days and wall.month in months

    instants = _minutes(start - MARGIN, until + MARGIN)
    walls = [(instant, instant.astimezone(zone).replace(tzinfo=None)) for instant in instants]
    if hour in ("*", "*/1"):
        return [instant for instant, wall in walls if start < instant <= until and matches(wall)]
    first: dict[datetime, datetime] = {}
    for (_, before), (instant, wall) in pairwise(walls):
        for shown in _minutes(before + MINUTE, wall - MINUTE):
            first.setdefault(shown, instant)
        first.setdefault(wall, instant)
    return sorted({instant for wall, instant in first.items() if start < instant <= until and matches(wall)})


def _minutes(start: datetime, until: datetime) -> list[datetime]:
    count = (until - start) // MINUTE + 1
    return [start + MINUTE * n for n in range(max(0, count))]


def _set(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        begin, _, end = span.partition("-")
        bounds = (low, high) if span == "*" else (int(begin), int(end or begin))
        found |= set(range(bounds[0], bounds[1] + 1, int(step or 1)))
    return found
