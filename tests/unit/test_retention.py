"""Retention asks for what has expired, a page of each status, and removes it by the ordinary command."""

from __future__ import annotations

from typing import Any, cast

from domain.ports import ExpiredJobs
from handlers.pipeline import Pipeline
from handlers.problems import refused
from handlers.retention import PAGE, REASON, Retention
from millrace.contracts.job import Remove
from millrace.contracts.wire import Accepted, Context, Refused

AGES = {"completed": 60.0, "failed": 3_600.0}


class Found:
    """The port, with what it finds by status; notes what it was asked."""

    def __init__(self, **jobs: list[tuple[str, str]]) -> None:
        self._jobs = jobs
        self.asked: list[tuple[str, float, int]] = []

    async def find(self, status: str, age: float, limit: int) -> list[tuple[str, str]]:
        self.asked.append((status, age, limit))
        return self._jobs.get(status, [])[:limit]


class Commands:
    """The part of the pipeline that is used: takes commands, and refuses those about some jobs."""

    def __init__(self, *running: str) -> None:
        self._running = running
        self.given: list[tuple[str, Remove, Context]] = []

    async def execute_internal(self, name: str, body: Remove, context: Context) -> Accepted | Refused:
        self.given.append((name, body, context))
        return refused("refused", "it is running") if body.job_id in self._running else Accepted({})


def retention(found: Found, commands: Commands, ages: dict[str, float] | None = None) -> Retention:
    return Retention(cast(ExpiredJobs, found), cast(Pipeline, commands), AGES if ages is None else ages)


async def test_given_expired_jobs_when_swept_then_each_is_removed_in_its_tenant_with_the_reason() -> None:
    commands = Commands()
    found = Found(completed=[("acme", "1"), ("globex", "1")], failed=[("acme", "2")])
    assert await retention(found, commands).sweep() == 3
    told = [(name, body.job_id, body.reason, context.tenant) for name, body, context in commands.given]
    assert told == [
        ("job.remove", "1", REASON, "acme"),
        ("job.remove", "1", REASON, "globex"),
        ("job.remove", "2", REASON, "acme"),
    ]


async def test_given_ages_when_swept_then_each_status_is_asked_for_by_its_own_and_no_other() -> None:
    found = Found(cancelled=[("acme", "3")])
    assert await retention(found, Commands()).sweep() == 0
    assert found.asked == [("completed", 60.0, PAGE), ("failed", 3_600.0, PAGE)]


async def test_given_no_ages_when_swept_then_nothing_is_asked() -> None:
    found = Found(completed=[("acme", "1")])
    assert await retention(found, Commands(), {}).sweep() == 0
    assert found.asked == []


async def test_given_a_job_that_cannot_be_removed_when_swept_then_the_others_are_and_it_is_not_counted() -> None:
    commands = Commands("2")
    found = Found(completed=[("acme", str(n)) for n in range(4)])
    assert await retention(found, commands).sweep() == 3
    assert len(commands.given) == 4


async def test_given_more_than_a_page_when_swept_again_then_the_rest_goes() -> None:
    jobs = [("acme", str(n)) for n in range(PAGE + 20)]
    commands = Commands()
    assert await retention(Found(completed=jobs), commands).sweep() == PAGE
    assert await retention(Found(completed=jobs[PAGE:]), commands).sweep() == 20
    assert {body.job_id for _, body, _ in commands.given} == {job_id for _, job_id in jobs}


async def test_given_two_processes_when_both_sweep_then_their_commands_have_the_same_id() -> None:
    first, second = Commands(), Commands()
    for commands in (first, second):
        await retention(Found(completed=[("acme", "1")]), commands).sweep()
    ids: list[Any] = [context.message_id for (_, _, context) in (*first.given, *second.given)]
    assert ids[0] == ids[1]
