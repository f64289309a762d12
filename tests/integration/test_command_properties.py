"""Whatever is asked of the service, in whatever order: keys, dependencies, batches, read models and archives agree with
the log, and all work comes to an end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from infra.bootstrap import System
from infra.maintenance import rebuild_read_model
from millrace.contracts.wire import Accepted, Batch, Context, Refused
from tests.support.eventually import eventually
from tests.support.systems import system

T = TypeVar("T")
QUEUES = ("default", "mail")
# What the rules may answer to a wish; everything else would be a fault of the service.
SAID_NO = {"refused", "duplicate-job", "unknown-parent", "batch-sealed", "archived", "not-found"}
UNFINISHED = """
WITH last AS (
    SELECT DISTINCT ON (originator_id) originator_id AS stream, event_type FROM stored_events
     WHERE kind = 'job' AND tenant = $1 AND event_type IN ('job.enqueued', 'job.completed', 'job.dead_lettered',
           'job.cancelled', 'job.revived', 'job.retry_undone')
     ORDER BY originator_id, originator_version DESC)
SELECT e.subject AS id, convert_from(e.state, 'UTF8')::json -> 'unique' ->> 'key' AS key
  FROM stored_events e JOIN last ON last.stream = e.originator_id
 WHERE e.event_type = 'job.enqueued' AND last.event_type IN ('job.enqueued', 'job.revived')
"""
STRAYS = """
SELECT count(*) FROM dependents p WHERE NOT EXISTS (SELECT FROM dependencies d WHERE d.child = p.stream)
UNION ALL
SELECT count(*) FROM dependencies d WHERE NOT EXISTS (SELECT FROM dependents p WHERE p.stream = d.child)
"""
SLOWEST = "SELECT min(position) FROM readers WHERE name NOT LIKE '%@%'"
places = st.integers(0, 30)


class Everybody(RuleBasedStateMachine):
    """One tenant's applications, workers and operators."""

    def __init__(self, running: System, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.running, self.loop, self.tenant = running, loop, uuid4().hex
        self.numbers = itertools.count()
        self.jobs: list[str] = []
        self.batches: list[str] = []
        self.grants: list[dict[str, Any]] = []

    @rule(
        queue=st.sampled_from(QUEUES),
        key=st.none() | st.sampled_from(["a", "b"]),
        conflict=st.sampled_from(["reject", "existing", "replace"]),
        parents=st.lists(places, max_size=2),
        policy=st.sampled_from(["cancel", "run", "wait"]),
        batch=st.none() | places,
    )
    def enqueue(
        self, queue: str, key: str | None, conflict: str, parents: list[int], policy: str, batch: int | None
    ) -> None:
        wish: dict[str, Any] = {"name": "n", "queue": queue, "max_attempts": 1, "on_parent_failure": policy}
        if key is not None:
            wish["unique"] = {"key": key, "on_conflict": conflict}
        if self.jobs:
            wish["after"] = [self.job(place) for place in parents]
        if batch is not None and self.batches:
            wish["batch"] = self.batches[batch % len(self.batches)]
        self.know(self.ask("job.enqueue", wish))

    @rule(width=st.integers(1, 3))
    def enqueue_a_graph(self, width: int) -> None:
        children = [{"name": "n", "ref": f"c{n}", "after": "#0", "max_attempts": 1} for n in range(width)]
        items = [{"name": "n"}, *children, {"name": "n", "after": [f"#c{n}" for n in range(width)]}]
        answer = self.run(self.running.gateway.execute("job.enqueue", items, self.context()))
        assert isinstance(answer, Batch)
        for each in answer.items:
            assert isinstance(each, Accepted)
            self.know(each)

    @rule()
    def open_a_batch(self) -> None:
        answer = self.ask("batch.create", {"name": "b"})
        assert isinstance(answer, Accepted)
        self.batches.append(answer.result["batch_id"])

    @rule(place=places, how=st.sampled_from(["batch.seal", "batch.cancel"]))
    def end_a_batch(self, place: int, how: str) -> None:
        if self.batches:
            self.ask(how, {"batch_id": self.batches[place % len(self.batches)]})

    @rule(queue=st.sampled_from(QUEUES), how=st.sampled_from(["queue.pause", "queue.resume"]))
    def pause_or_resume(self, queue: str, how: str) -> None:
        self.ask(how, {"name": queue})

    @rule()
    def claim(self) -> None:
        answer = self.ask("job.claim", {"worker": "w", "queues": list(QUEUES), "slots": 2})
        assert isinstance(answer, Accepted)
        self.grants += answer.result["grants"]

    @rule(place=places, outcome=st.sampled_from(["completed", "failed", "returned"]))
    def report(self, place: int, outcome: str) -> None:
        if self.grants:
            self.end(self.grants.pop(place % len(self.grants)), outcome)

    @rule(place=places, change=st.sampled_from([{"priority": 5}, {"queue": "mail"}, {"data": {"n": 1}}, {"delay": 0}]))
    def change(self, place: int, change: dict[str, Any]) -> None:
        if self.jobs:
            self.ask("job.change", {"job_id": self.job(place), **change})

    @rule(place=places, how=st.sampled_from(["job.cancel", "job.retry", "job.undo", "job.remove"]))
    def intervene(self, place: int, how: str) -> None:
        if self.jobs:
            self.ask(how, {"job_id": self.job(place)})

    @rule(place=places, value=st.integers(0, 2))
    def edit(self, place: int, value: int) -> None:
        if self.jobs:
            patch = [{"op": "add", "path": "/n", "value": value}]
            self.ask("job.edit", {"job_id": self.job(place), "patch": patch})

    @rule(how=st.sampled_from(["deadletter.retry", "deadletter.purge"]), limit=st.integers(1, 3))
    def mend_many(self, how: str, limit: int) -> None:
        self.ask(how, {"limit": limit})

    @rule()
    def archive(self) -> None:
        self.run(self.archived())

    def teardown(self) -> None:
        self.run(self.agrees())
        self.run(self.ends())
        self.run(self.agrees())
        self.run(self.all_archived())
        self.run(self.agrees())

    async def agrees(self) -> None:
        """Keys, dependencies, read models and histories are what the log says."""
        pool = self.running.storage.pool
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            unfinished = await connection.fetch(UNFINISHED, self.tenant)
            taken = await connection.fetch("SELECT job_id, key FROM unique_keys WHERE tenant = $1", self.tenant)
            strays = [row["count"] for row in await connection.fetch(STRAYS)]
        held = sorted((row["id"], row["key"]) for row in unfinished if row["key"] is not None)
        assert held == sorted((row["job_id"], row["key"]) for row in taken)
        assert strays == [0, 0]
        for job_id in self.jobs:
            answer = await self.running.gateway.query("log.history", {"kind": "job", "id": job_id}, self.context())
            assert isinstance(answer, Accepted), answer
            events = answer.result["events"]
            assert [event["version"] for event in events] == list(range(1, len(events) + 1))
            assert events[0]["eventtype"] == "job.enqueued"
        dsn = self.running.settings.database_url
        assert dsn is not None
        # In a store of its own, which remembers no events that have left the log.
        rebuilt = await rebuild_read_model(dsn.get_secret_value(), "jobs", lambda done, total: None, verify=True)
        assert rebuilt.equal

    async def archived(self) -> None:
        """Archives what has been removed, once every reader has passed it."""
        pool, head = self.running.storage.pool, await self.running.storage.store.head()
        await eventually(lambda: pool.fetchval(SLOWEST), lambda reached: reached >= head)
        assert self.running.archiver is not None
        await self.running.archiver.sweep(-1.0)

    async def all_archived(self) -> None:
        """Removes and archives everything, children before their parents."""
        for job_id in reversed(self.jobs):
            await self.asked("job.remove", {"job_id": job_id})
        left = "SELECT count(*) FROM stored_events WHERE event_type = 'job.removed' AND tenant = $1"

        async def sweep() -> int:
            await self.archived()
            return int(await self.running.storage.pool.fetchval(left, self.tenant))

        await eventually(sweep, lambda count: count == 0, seconds=60)

    async def ends(self) -> None:
        """Once nobody holds anything up, every job comes to its end."""
        for queue in QUEUES:
            await self.asked("queue.resume", {"name": queue})

        async def left() -> list[asyncpg.Record]:
            claim = {"worker": "w", "queues": list(QUEUES), "slots": 100}
            granted = await self.asked("job.claim", claim)
            assert isinstance(granted, Accepted)
            for grant in [*self.grants, *granted.result["grants"]]:
                await self.asked("job.report", _outcome(grant, "completed"))
            self.grants.clear()
            rows = list(await self.running.storage.pool.fetch(UNFINISHED, self.tenant))
            blocked = await self.running.storage.pool.fetch(
                "SELECT job_id FROM dependents WHERE tenant = $1 ORDER BY position", self.tenant
            )
            if rows and len(rows) == len(blocked):
                # They wait for parents that have failed for good.
                await self.asked("job.cancel", {"job_id": blocked[0]["job_id"]})
            return rows

        await eventually(left, lambda rows: not rows, seconds=60)

    def job(self, place: int) -> str:
        return self.jobs[place % len(self.jobs)]

    def know(self, answer: Accepted | Refused) -> None:
        if isinstance(answer, Accepted) and answer.result["job_id"] not in self.jobs:
            self.jobs.append(answer.result["job_id"])

    def end(self, grant: dict[str, Any], outcome: str) -> None:
        answer = self.run(self.running.gateway.execute("job.report", _outcome(grant, outcome), self.context()))
        # Cancelled meanwhile, alone or with its batch.
        assert isinstance(answer, Accepted) or (isinstance(answer, Refused) and answer.problem.code == "stale-attempt")

    def ask(self, command: str, body: dict[str, Any]) -> Accepted | Refused:
        answer = self.run(self.asked(command, body))
        assert isinstance(answer, Accepted) or answer.problem.code in SAID_NO, answer
        return answer

    async def asked(self, command: str, body: dict[str, Any]) -> Accepted | Refused:
        answer = await self.running.gateway.execute(command, body, self.context())
        assert not isinstance(answer, Batch)
        return answer

    def context(self) -> Context:
        return Context(self.tenant, f"{self.tenant}/{next(self.numbers)}")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)


def _outcome(grant: dict[str, Any], outcome: str) -> dict[str, Any]:
    error = {"error": {"type": "OSError", "message": "broken pipe"}} if outcome == "failed" else {}
    return {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": outcome, **error}


async def test_no_sequence_of_commands_breaks_what_holds_jobs_together(fresh_database_url: str, tmp_path: Path) -> None:
    async with system(fresh_database_url, storage=tmp_path / "objects", unconfirmed=120.0) as running:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(
            run_state_machine_as_test,
            lambda: Everybody(running, loop),
            settings=settings(
                max_examples=6, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
