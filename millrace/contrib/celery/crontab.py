"""`crontab(...)` and the other forms of a beat schedule, as Millrace's schedules take them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from millrace.contrib.celery.errors import NotSupported

Part = str | int | Iterable[int]


@dataclass(frozen=True)
class crontab:
    """When a schedule is due; each part is text as in cron, a number, or several numbers.

    Raises:
        NotSupported: days of the week and of the month at once. Celery takes days that are both, cron days that are
            either.
    """

    minute: Part = "*"
    hour: Part = "*"
    day_of_week: Part = "*"
    day_of_month: Part = "*"
    month_of_year: Part = "*"

    def __post_init__(self) -> None:
        if "*" not in (self.day_of_week, self.day_of_month):
            raise NotSupported(
                "crontab() with day_of_week and day_of_month together",
                "make the schedule of one of them, and let the task look at the other",
            )

    @property
    def expression(self) -> str:
        """The five fields of cron."""
        parts = (self.minute, self.hour, self.day_of_month, self.month_of_year, _days(self.day_of_week))
        return " ".join(_text(part) for part in parts)


def schedule_settings(schedule: object, timezone: str) -> dict[str, Any]:
    """The `cron` and `timezone`, or the `every`, of a beat schedule.

    Raises:
        NotSupported: it is no `crontab`, `timedelta` or number of seconds.
    """
    match schedule:
        case crontab():
            return {"cron": schedule.expression, "timezone": timezone}
        case timedelta():
            return {"every": schedule.total_seconds()}
        case int() | float():
            return {"every": float(schedule)}
        case _:
            raise NotSupported(
                f"the schedule {schedule!r}", "give a crontab(), a timedelta, or seconds; see docs/schedules.md"
            )


def _text(part: Part) -> str:
    if isinstance(part, str | int):
        return str(part).replace(" ", "")
    return ",".join(str(number) for number in sorted(part))


def _days(part: Part) -> Part:
    """Days of the week by the three letters that cron knows, whatever their length and case."""
    if not isinstance(part, str):
        return part
    letters = "".join(each if each.isalpha() else f" {each} " for each in part).split()
    return "".join(word[:3].upper() if word.isalpha() else word for word in letters)
