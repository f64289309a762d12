"""Declaring schedules: `@app.cron` and `@app.every`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from pydantic import ValidationError

from millrace.contracts.schedule import CreateSchedule, Missed, Overlap
from millrace.job_function import JobFunction
from millrace.registry import ScheduleDefinition

if TYPE_CHECKING:
    from millrace.client import Millrace

P = ParamSpec("P")
R = TypeVar("R")


class ScheduleDecorators:
    """The decorators that have a job run by schedule."""

    def __init__(self, app: Millrace) -> None:
        self._app = app

    def cron(
        self,
        expression: str,
        *,
        timezone: str | None = None,
        name: str | None = None,
        data: Mapping[str, Any] | None = None,
        missed: Missed | None = None,
        grace: float | None = None,
        catch_up: int | None = None,
        overlap: Overlap | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> Callable[[Callable[P, R]], JobFunction[P, R]]:
        """Has a job run by a cron expression; the worker creates the schedule when it starts.

        Stands above `@app.job`, or alone, and then declares the job too. Taking the decorator away leaves the schedule:
        remove it with `app.jobs.schedules.remove`.

        Args:
            timezone: IANA name, `Europe/Berlin`; default that of the service, UTC.
            name: the schedule's; default the job's, so that a second schedule of a job needs one.
            data: the job's arguments.

        Raises:
            ValueError: the expression or another value is not acceptable, or the name is taken.
        """
        return self._declared(
            name, cron=expression, timezone=timezone, data=data, missed=missed, grace=grace, catch_up=catch_up,
            overlap=overlap, starts_at=starts_at, ends_at=ends_at,
        )  # fmt: skip

    def every(
        self,
        seconds: float,
        *,
        name: str | None = None,
        data: Mapping[str, Any] | None = None,
        missed: Missed | None = None,
        grace: float | None = None,
        catch_up: int | None = None,
        overlap: Overlap | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> Callable[[Callable[P, R]], JobFunction[P, R]]:
        """Has a job run every so many seconds, at least 1; otherwise as `cron`."""
        return self._declared(
            name, every=seconds, data=data, missed=missed, grace=grace, catch_up=catch_up, overlap=overlap,
            starts_at=starts_at, ends_at=ends_at,
        )  # fmt: skip

    def _declared(self, name: str | None, **settings: Any) -> Callable[[Callable[P, R]], JobFunction[P, R]]:
        given = {key: value for key, value in settings.items() if value is not None}

        def declare(function: Callable[P, R]) -> JobFunction[P, R]:
            job_name = function.name if isinstance(function, JobFunction) else function.__name__
            _check(name or job_name, job_name, given)
            self._app.registry.add_schedule(ScheduleDefinition(name or job_name, job_name, given))
            job = function if isinstance(function, JobFunction) else self._app.jobs.job(function)
            return cast("JobFunction[P, R]", job)

        return declare


def _check(name: str, job: str, settings: Mapping[str, Any]) -> None:
    """Says at the declaration what the service would say when the worker starts."""
    rest = {key: value for key, value in settings.items() if key != "data"}
    try:
        CreateSchedule.model_validate({"name": name, "job": {"name": job, "data": settings.get("data", {})}, **rest})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"schedule {name!r}: {where + ': ' if where else ''}{first['msg']}") from error
