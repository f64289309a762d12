"""`app.jobs.schedules`: jobs that are enqueued again and again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from millrace.contracts.job import Retry
from millrace.contracts.schedule import Missed, Overlap, Schedule, Upcoming
from millrace.errors import NotFound
from millrace.job_options import enqueue_body

if TYPE_CHECKING:
    from millrace.client import Millrace

PAGE = 50
# The methods below include one called `list`.
Scheduled = list[Schedule]
TIME: TypeAdapter[datetime | None] = TypeAdapter(datetime | None)


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Some schedules, by name, and the cursor of the next page, if there is one."""

    schedules: Scheduled
    cursor: str | None


class Schedules:
    """Creates, reads and steers schedules. The service starts their runs; a worker is needed only for the jobs."""

    def __init__(self, app: Millrace) -> None:
        self._app = app

    async def create(
        self,
        name: str,
        job: str,
        data: Mapping[str, Any] | None = None,
        *,
        cron: str | None = None,
        every: float | None = None,
        timezone: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        retry: Retry | Mapping[str, Any] | str | None = None,
        missed: Missed | None = None,
        grace: float | None = None,
        catch_up: int | None = None,
        overlap: Overlap | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> datetime | None:
        """Creates the schedule, or gives an existing one these settings; the same ones change nothing.

        Options of the job that are not given come from its decorator, if this application has it, else from the
        service when a run is started.

        Args:
            job: name of the job that each run enqueues, with `data`.
            cron: five fields, minute hour day-of-month month day-of-week, or `@daily` and the like; or `every`.
            every: seconds between two runs, counted from `starts_at` or from the creation.
            timezone: IANA name of the zone that `cron` is meant in; default that of the service, UTC.
            missed: `skip`, `one` (default) or `all`: what becomes of runs that nobody could start in time.
            grace: seconds that a run may be late without having been missed; default 60.
            catch_up: most runs that `all` makes up for; default 100.
            overlap: `allow` (default), `skip`, `queue` or `replace`: what a run does while the job of the one before
                it has not ended.
            starts_at, ends_at: with their zone; nothing is due outside of them.

        Returns:
            When it is due next, or None where it is paused or never due.

        Raises:
            ValueError: a time without a zone.
            Invalid: the service does not accept a value.
        """
        for label, time in (("starts_at", starts_at), ("ends_at", ends_at)):
            if time is not None and time.tzinfo is None:
                raise ValueError(f"`{label}` needs a time zone, for example datetime(2030, 1, 1, tzinfo=UTC)")
        body = enqueue_body(
            self._app.registry, job, data, queue=queue, priority=priority, max_attempts=max_attempts, timeout=timeout,
            retry=retry,
        )  # fmt: skip
        settings = {
            "cron": cron, "every": every, "timezone": timezone, "missed": missed, "grace": grace, "catch_up": catch_up,
            "overlap": overlap, "starts_at": starts_at, "ends_at": ends_at,
        }  # fmt: skip
        given = {key: value for key, value in settings.items() if value is not None}
        return await self._execute("create", {"name": name, "job": body, **given})

    async def change(self, name: str, **changes: Any) -> datetime | None:
        """Changes what is given, in the names of `create`; the rest stays. `job` is a mapping with the job's settings.

        `cron` takes the place of `every`, and the other way round; None takes `starts_at` or `ends_at` away.

        Returns:
            When it is due next.

        Raises:
            NotFound: this tenant has no such schedule.
            Invalid: the service does not accept a value.
        """
        return await self._execute("change", {"name": name, **changes})

    async def get(self, name: str) -> Schedule | None:
        """The schedule, or None where this tenant has none of that name."""
        try:
            answer = await self._app.link.query("schedule.get", {"name": name})
        except NotFound:
            return None
        return Schedule.model_validate(answer["schedule"])

    async def page(self, *, paused: bool | None = None, limit: int = PAGE, cursor: str | None = None) -> SchedulePage:
        """One page of schedules, by name; `cursor` is that of the page before."""
        filters = {"paused": paused, "limit": limit, "cursor": cursor}
        body = {key: value for key, value in filters.items() if value is not None}
        answer = await self._app.link.query("schedule.list", body)
        return SchedulePage([Schedule.model_validate(each) for each in answer["schedules"]], answer.get("cursor"))

    async def list(self, **filters: Any) -> Scheduled:
        """The schedules of one page; takes what `page` takes."""
        return (await self.page(**filters)).schedules

    async def iterate(self, **filters: Any) -> AsyncIterator[Schedule]:
        """All schedules that `page`'s filters leave, page after page."""
        cursor: str | None = filters.pop("cursor", None)
        while True:
            page = await self.page(**filters, cursor=cursor)
            for schedule in page.schedules:
                yield schedule
            cursor = page.cursor
            if cursor is None:
                return

    async def next(self, name: str, count: int = 5) -> Upcoming:
        """The next due times, at most 100; none while it is paused.

        Raises:
            NotFound: this tenant has no such schedule.
        """
        return Upcoming.model_validate(await self._app.link.query("schedule.next", {"name": name, "count": count}))

    async def pause(self, name: str) -> None:
        """Has nothing due until `resume`.

        Raises:
            NotFound: this tenant has no such schedule.
        """
        await self._execute("pause", {"name": name})

    async def resume(self, name: str) -> datetime | None:
        """Goes on with the next due time, which it returns; what was due during the pause is not made up for.

        Raises:
            NotFound: this tenant has no such schedule.
        """
        return await self._execute("resume", {"name": name})

    async def remove(self, name: str) -> None:
        """Ends the schedule; jobs that it started go on. Repeating it changes nothing.

        Raises:
            NotFound: this tenant never had such a schedule.
        """
        await self._execute("remove", {"name": name})

    async def trigger(self, name: str) -> str:
        """Enqueues the job now, whatever the schedule, its pause and its overlap policy say; returns the job's id.

        Raises:
            NotFound: this tenant has no such schedule.
        """
        answer = await self._app.link.execute("schedule.trigger", {"name": name})
        return str(answer.result["job_id"])

    async def _execute(self, command: str, body: Mapping[str, Any]) -> datetime | None:
        answer = await self._app.link.execute(f"schedule.{command}", body)
        return TIME.validate_python(answer.result.get("next_due_at"))
