"""Whatever is asked of the service, in whatever order: keys, limits, dependencies, batches, schedules, read models and
archives agree with the log, and all work comes to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Batch, Refused
from tests.support.everybody import CALLBACK, NAME, QUEUES, SCHEDULES, SHORT, Tenant, outcome_of
from tests.support.systems import executed, system

T = TypeVar("T")
# What the rules may answer to a wish; everything else would be a fault of the service.
SAID_NO = {"refused", "duplicate-job", "unknown-parent", "batch-sealed", "archived", "not-found"}
OUTCOMES = ("completed", "failed", "retried", "returned", "snoozed")
STANDING = """
SELECT job_id FROM ready WHERE tenant = $1 AND queue = $2
UNION SELECT job_id FROM waiting WHERE tenant = $1 AND queue = $2
"""
places = st.integers(0, 30)
queues = st.sampled_from(QUEUES)
schedules = st.sampled_from(SCHEDULES)
uniques = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["a", "b"]),
        "on_conflict": st.sampled_from(["reject", "existing", "replace"]),
        "until": st.sampled_from(["done", "started"]),
        "ttl": st.sampled_from([None, SHORT, 3_600]),
    }
)
limits = st.fixed_dictionaries(
    {},
    optional={
        "order": st.sampled_from(["strict", "aging", "fair"]),
        "concurrency": st.sampled_from([None, 1, 2]),
        "rate": st.sampled_from([None, {"limit": 20, "period": 1.0, "burst": 1}]),
        "per_name": st.sampled_from([{}, {NAME: {"concurrency": 1}}]),
        "per_key": st.sampled_from([None, {"concurrency": 1}]),
    },
)


class Everybody(RuleBasedStateMachine):
    """One tenant's applications, workers and operators."""

    def __init__(self, running: System, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.tenant, self.loop = Tenant(running), loop

    @rule(
        queue=queues,
        key=st.none() | st.sampled_from(["acme", "globex"]),
        unique=st.none() | uniques,
        attempts=st.integers(1, 2),
        parents=st.lists(places, max_size=2),
        policy=st.sampled_from(["cancel", "run", "wait"]),
        batch=st.none() | places,
    )
    def enqueue(
        self,
        queue: str,
        key: str | None,
        unique: dict[str, Any] | None,
        attempts: int,
        parents: list[int],
        policy: str,
        batch: int | None,
    ) -> None:
        wish: dict[str, Any] = {"name": NAME, "queue": queue, "max_attempts": attempts, "on_parent_failure": policy}
        wish |= {name: value for name, value in (("key", key), ("unique", unique)) if value is not None}
        if self.tenant.jobs:
            wish["after"] = [self.job(place) for place in parents]
        if batch is not None and self.tenant.batches:
            wish["batch"] = self.batch(batch)
        self.know(self.ask("job.enqueue", wish))

    @rule(width=st.integers(1, 3))
    def enqueue_a_graph(self, width: int) -> None:
        children = [{"name": NAME, "ref": f"c{n}", "after": "#0", "max_attempts": 1} for n in range(width)]
        items = [{"name": NAME}, *children, {"name": NAME, "after": [f"#c{n}" for n in range(width)]}]
        answer = self.run(executed(self.tenant.running, "job.enqueue", items, self.tenant.context()))
        assert isinstance(answer, Batch)
        for each in answer.items:
            assert isinstance(each, Accepted)
            self.know(each)

    @rule()
    def open_a_batch(self) -> None:
        answer = self.ask("batch.create", {"name": "b", "on_complete": CALLBACK})
        assert isinstance(answer, Accepted)
        self.tenant.batches.append(answer.result["batch_id"])

    @rule(place=places, how=st.sampled_from(["batch.seal", "batch.cancel"]))
    def end_a_batch(self, place: int, how: str) -> None:
        if self.tenant.batches:
            self.ask(how, {"batch_id": self.batch(place)})

    @rule(queue=queues, how=st.sampled_from(["queue.pause", "queue.resume"]))
    def pause_or_resume(self, queue: str, how: str) -> None:
        self.ask(how, {"name": queue})

    @rule(queue=queues, given=limits)
    def configure_a_queue(self, queue: str, given: dict[str, Any]) -> None:
        self.ask("queue.configure", {"name": queue, **given})

    @rule(queue=queues)
    def drain(self, queue: str) -> None:
        """What was known to wait in the queue does not any more."""
        known = set(self.tenant.jobs)
        self.ask("queue.drain", {"name": queue})
        pool = self.tenant.running.storage.pool
        rows = self.run(pool.fetch(STANDING, self.tenant.name, queue))
        assert not known & {row["job_id"] for row in rows}

    @rule(failures=st.integers(1, 3), enabled=st.booleans())
    def configure_the_circuit(self, failures: int, enabled: bool) -> None:
        policy = {"failures": failures, "pause": 2, "enabled": enabled}
        self.ask("circuit.configure", {"name": NAME, **policy})

    @rule()
    def reset_the_circuit(self) -> None:
        self.ask("circuit.reset", {"name": NAME})

    @rule(
        name=schedules,
        queue=queues,
        every=st.sampled_from([1, 3_600]),
        overlap=st.sampled_from(["allow", "skip", "queue", "replace"]),
    )
    def create_a_schedule(self, name: str, queue: str, every: int, overlap: str) -> None:
        job = {"name": NAME, "queue": queue}
        self.ask("schedule.create", {"name": name, "every": every, "overlap": overlap, "job": job})

    @rule(name=schedules, change=st.sampled_from([{"every": 2}, {"cron": "0 3 * * *"}, {"missed": "all"}]))
    def change_a_schedule(self, name: str, change: dict[str, Any]) -> None:
        self.ask("schedule.change", {"name": name, **change})

    @rule(
        name=schedules,
        how=st.sampled_from(["schedule.pause", "schedule.resume", "schedule.remove", "schedule.trigger"]),
    )
    def steer_a_schedule(self, name: str, how: str) -> None:
        self.ask(how, {"name": name})

    @rule()
    def claim(self) -> None:
        answer = self.ask("job.claim", {"worker": "w", "queues": list(QUEUES), "slots": 2})
        assert isinstance(answer, Accepted)
        self.tenant.grants += answer.result["grants"]

    @rule(place=places, outcome=st.sampled_from(OUTCOMES))
    def report(self, place: int, outcome: str) -> None:
        if self.tenant.grants:
            grant = self.tenant.grants.pop(place % len(self.tenant.grants))
            answer = self.run(self.tenant.asked("job.report", outcome_of(grant, outcome)))
            # Cancelled meanwhile, alone, with its batch, or by the next run of its schedule.
            assert isinstance(answer, Accepted) or answer.problem.code == "stale-attempt"

    @rule(place=places, change=st.sampled_from([{"priority": 5}, {"queue": "mail"}, {"data": {"n": 1}}, {"delay": 0}]))
    def change(self, place: int, change: dict[str, Any]) -> None:
        if self.tenant.jobs:
            self.ask("job.change", {"job_id": self.job(place), **change})

    @rule(place=places, how=st.sampled_from(["job.cancel", "job.retry", "job.undo", "job.remove"]))
    def intervene(self, place: int, how: str) -> None:
        if self.tenant.jobs:
            self.ask(how, {"job_id": self.job(place)})

    @rule(place=places, value=st.integers(0, 2))
    def edit(self, place: int, value: int) -> None:
        if self.tenant.jobs:
            patch = [{"op": "add", "path": "/n", "value": value}]
            self.ask("job.edit", {"job_id": self.job(place), "patch": patch})

    @rule(how=st.sampled_from(["deadletter.retry", "deadletter.purge"]), limit=st.integers(1, 3))
    def mend_many(self, how: str, limit: int) -> None:
        self.ask(how, {"limit": limit})

    @rule()
    def archive(self) -> None:
        self.run(self.tenant.archived())

    def teardown(self) -> None:
        self.run(self.tenant.agrees())
        self.run(self.tenant.ends())
        self.run(self.tenant.agrees())
        self.run(self.tenant.all_archived())
        self.run(self.tenant.agrees())

    def job(self, place: int) -> str:
        return self.tenant.jobs[place % len(self.tenant.jobs)]

    def batch(self, place: int) -> str:
        return self.tenant.batches[place % len(self.tenant.batches)]

    def know(self, answer: Accepted | Refused) -> None:
        if isinstance(answer, Accepted) and answer.result["job_id"] not in self.tenant.jobs:
            self.tenant.jobs.append(answer.result["job_id"])

    def ask(self, command: str, body: dict[str, Any]) -> Accepted | Refused:
        answer = self.run(self.tenant.asked(command, body))
        assert isinstance(answer, Accepted) or answer.problem.code in SAID_NO, answer
        return answer

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(240)


@pytest.mark.timeout(900)
async def test_no_sequence_of_commands_breaks_what_holds_jobs_together(fresh_database_url: str, tmp_path: Path) -> None:
    async with system(fresh_database_url, storage=tmp_path / "objects", unconfirmed=240.0) as running:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(
            run_state_machine_as_test,
            lambda: Everybody(running, loop),
            settings=settings(
                max_examples=6, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
