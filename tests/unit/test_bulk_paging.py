"""Bulk commands go through what fits page by page, up to a limit, and a cursor goes on where a call has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ports import FoundJob, JobFinder, StoreUnavailable
from handlers.bulk import PAGE, Bulk, UnreadableBulkCursor
from handlers.pipeline import Pipeline
from handlers.problems import refused
from millrace.contracts.job import Cancel
from millrace.contracts.job_bulk import CancelMany
from millrace.contracts.wire import Accepted, Context, Refused

CALL = Context("acme", "m-1")


class Log:
    """The finder's port over jobs at the positions 1, 2, 3 …; notes the size of each page that was asked for."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.sizes = jobs, list[int]()

    async def newest(self) -> int:
        return self.jobs

    async def find(
        self, tenant: str, filters: Mapping[str, object], after: int, until: int, limit: int
    ) -> list[FoundJob]:
        self.sizes.append(limit)
        return [FoundJob(str(n), n) for n in range(after + 1, min(until, after + limit) + 1)]

    async def count(self, tenant: str, filters: Mapping[str, object], after: int, until: int) -> int:
        return until - after


class Commands:
    """The part of the pipeline that is used; `refuse` has the codes of problems by job."""

    def __init__(self, **refuse: str) -> None:
        self._refuse = refuse
        self.cancelled: list[str] = []
        self.ids: list[str] = []

    async def execute(self, name: str, bodies: Sequence[tuple[Cancel, Context]]) -> list[Accepted | Refused]:
        self.ids += [context.message_id for _, context in bodies]
        return [self._answer(body.job_id) for body, _ in bodies]

    def _answer(self, job_id: str) -> Accepted | Refused:
        if (code := self._refuse.get(f"job{job_id}")) is not None:
            return refused(code, "no")
        self.cancelled.append(job_id)
        return Accepted({})


def bulk(log: Log, commands: Commands) -> Bulk:
    return Bulk(cast(JobFinder, log), cast(Pipeline, commands), "job.cancel", {})


def wish(**given: Any) -> CancelMany:
    return CancelMany.model_validate({"name": "n", **given})


@given(jobs=st.integers(0, 3 * PAGE), limit=st.integers(1, 2 * PAGE))
async def test_given_any_limit_when_calls_follow_each_other_s_cursors_then_each_job_is_changed_once(
    jobs: int, limit: int
) -> None:
    log, commands, cursor, calls = Log(jobs), Commands(), None, 0
    while calls == 0 or cursor is not None:
        done = await bulk(log, commands).perform(wish(limit=limit, cursor=cursor), CALL)
        cursor, calls = done["cursor"], calls + 1
        assert done["matched"] == done["changed"] <= limit
    assert commands.cancelled == [str(n) for n in range(1, jobs + 1)]
    # There is no call in vain: a cursor is only given where there is more.
    assert calls == max(1, -(-jobs // limit))
    assert max(log.sizes) <= PAGE + 1


async def test_given_jobs_that_come_during_the_calls_when_going_on_then_they_are_left_alone() -> None:
    log, commands = Log(10), Commands()
    first = await bulk(log, commands).perform(wish(limit=6), CALL)
    log.jobs = 15
    second = await bulk(log, commands).perform(wish(limit=6, cursor=first["cursor"]), CALL)
    assert (first["matched"], second["matched"], second["cursor"]) == (6, 4, None)
    assert commands.cancelled == [str(n) for n in range(1, 11)]


async def test_given_jobs_that_have_changed_meanwhile_when_performed_then_they_are_counted_as_refused() -> None:
    commands = Commands(job2="refused", job3="duplicate-job")
    done = await bulk(Log(5), commands).perform(wish(), CALL)
    assert (done["matched"], done["changed"], done["refused"]) == (5, 3, 2)


@pytest.mark.parametrize("code", ["unavailable", "conflict"])
async def test_given_a_passing_failure_when_performed_then_the_call_is_to_be_repeated(code: str) -> None:
    with pytest.raises(StoreUnavailable, match="no"):
        await bulk(Log(5), Commands(job2=code)).perform(wish(), CALL)


async def test_given_a_repeated_call_when_performed_then_its_commands_have_the_same_ids() -> None:
    commands = Commands()
    for _ in range(2):
        await bulk(Log(2), commands).perform(wish(), CALL)
    assert commands.ids == ["m-1/1", "m-1/2"] * 2


async def test_given_a_dry_run_when_performed_then_it_counts_and_changes_nothing() -> None:
    commands = Commands()
    assert await bulk(Log(1_234), commands).perform(wish(dry_run=True, limit=1), CALL) == {"matched": 1_234}
    assert commands.ids == []


@pytest.mark.parametrize("cursor", ["x", "1", "-", "1-", "-1", "1-2-3", "²-3", "1" * 19 + "-2"])
async def test_given_a_cursor_of_nobody_s_when_performed_then_it_is_refused(cursor: str) -> None:
    with pytest.raises(UnreadableBulkCursor, match="cursor"):
        await bulk(Log(5), Commands()).perform(wish(cursor=cursor), CALL)
