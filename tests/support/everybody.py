"""What must hold of one tenant's jobs whatever was asked of the service, for tests that ask anything."""

from __future__ import annotations

import itertools
import json
from typing import Any
from uuid import uuid4

import asyncpg

from domain.ports import StreamName
from infra.bootstrap import System
from infra.maintenance import rebuild_read_model
from millrace.contracts.wire import Accepted, Batch, Context, Refused, derived_id
from tests.support.eventually import eventually
from tests.support.slots import exact
from tests.support.systems import answered, executed

QUEUES = ("default", "mail")
NAME, CALLBACK = "n", "batch-over"
SCHEDULES = ("hourly", "often")
UNLIMITED: dict[str, Any] = {"order": "strict", "concurrency": None, "rate": None, "per_name": {}, "per_key": None}
# A key that lives as short as this is there or gone, as it happens.
SHORT = 0.05
MOMENT = 0.01
UNFINISHED = """
WITH last AS (
    SELECT DISTINCT ON (originator_id) originator_id AS stream, event_type FROM stored_events
     WHERE kind = 'job' AND tenant = $1 AND event_type IN ('job.enqueued', 'job.completed', 'job.dead_lettered',
           'job.cancelled', 'job.revived', 'job.retry_undone')
     ORDER BY originator_id, originator_version DESC)
SELECT e.subject AS id, (convert_from(e.state, 'UTF8')::json -> 'unique')::text AS "unique",
       EXISTS (SELECT FROM stored_events s WHERE s.originator_id = e.originator_id AND s.event_type = 'job.started')
           AS started
  FROM stored_events e JOIN last ON last.stream = e.originator_id
 WHERE e.event_type = 'job.enqueued' AND last.event_type IN ('job.enqueued', 'job.revived')
"""
STRAYS = """
SELECT count(*) FROM dependents p WHERE NOT EXISTS (SELECT FROM dependencies d WHERE d.child = p.stream)
UNION ALL
SELECT count(*) FROM dependencies d WHERE NOT EXISTS (SELECT FROM dependents p WHERE p.stream = d.child)
"""
ENQUEUED = """
SELECT subject AS id, state FROM stored_events WHERE kind = 'job' AND tenant = $1 AND event_type = 'job.enqueued'
 ORDER BY notification_id
"""
FIRED = """
SELECT state FROM stored_events WHERE kind = 'schedule' AND tenant = $1 AND event_type = 'schedule.fired'
"""
KNOWN = "SELECT DISTINCT subject FROM stored_events WHERE kind = 'job' AND tenant = $1"
SLOWEST = "SELECT min(position) FROM readers WHERE name NOT LIKE '%@%'"


class Tenant:
    """One tenant's applications, workers and operators, and what they know.

    Attributes:
        grants: attempts that nobody has reported yet.
    """

    def __init__(self, running: System) -> None:
        self.running, self.name = running, uuid4().hex
        self.jobs: list[str] = []
        self.batches: list[str] = []
        self.grants: list[dict[str, Any]] = []
        self._numbers = itertools.count()

    async def asked(self, command: str, body: dict[str, Any]) -> Accepted | Refused:
        answer = await executed(self.running, command, body, self.context())
        assert not isinstance(answer, Batch)
        return answer

    def context(self) -> Context:
        return Context(self.name, f"{self.name}/{next(self._numbers)}")

    async def query(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await answered(self.running, name, body, self.context())
        assert isinstance(answer, Accepted), answer
        return answer.result

    async def agrees(self) -> None:
        """Keys, dependencies, limits, read models and histories are what the log says."""
        pool = self.running.storage.pool
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            unfinished = await connection.fetch(UNFINISHED, self.name)
            rows = await connection.fetch("SELECT job_id, key FROM unique_keys WHERE tenant = $1", self.name)
            strays = [row["count"] for row in await connection.fetch(STRAYS)]
        taken = {(row["job_id"], row["key"]) for row in rows}
        wishes = [(row["id"], json.loads(row["unique"]), row["started"]) for row in unfinished if row["unique"]]
        keys = [(id, wish) for id, wish, started in wishes if wish and not (started and wish["until"] == "started")]
        assert taken <= {(id, wish["key"]) for id, wish in keys}
        assert {(id, wish["key"]) for id, wish in keys if wish["ttl"] != SHORT} <= taken
        assert strays == [0, 0]
        async with pool.acquire() as connection:
            await exact(connection)
        for job_id in self.jobs:
            events = (await self.query("log.history", {"kind": "job", "id": job_id}))["events"]
            assert [event["version"] for event in events] == list(range(1, len(events) + 1))
            assert events[0]["eventtype"] == "job.enqueued"
        dsn = self.running.settings.database_url
        assert dsn is not None
        for model in ("jobs", "schedules"):
            # In a store of its own, which remembers no events that have left the log.
            rebuilt = await rebuild_read_model(dsn.get_secret_value(), model, lambda done, total: None, verify=True)
            assert rebuilt.equal, model

    async def ends(self) -> None:
        """Once nobody holds anything up, every job and every batch comes to its end."""
        for schedule in SCHEDULES:
            await self.asked("schedule.remove", {"name": schedule})
        await self.asked("circuit.configure", {"name": NAME, "enabled": False})
        for queue in QUEUES:
            await self.asked("queue.configure", {"name": queue, **UNLIMITED})
            await self.asked("queue.resume", {"name": queue})
        for batch in self.batches:
            await self.asked("batch.seal", {"batch_id": batch})
        await self._fired_have_jobs()
        await eventually(self._left, lambda left: not left, seconds=60)
        # Their callbacks are jobs, too.
        await eventually(self._incomplete, lambda batches: not batches, seconds=60)
        await eventually(self._left, lambda left: not left, seconds=60)
        await self._called_back()

    async def archived(self) -> None:
        """Archives what has been removed, once every reader has passed it.

        Readers save their place when it is quiet, or after many events: nothing may be due every second meanwhile.
        """
        for schedule in SCHEDULES:
            await self.asked("schedule.pause", {"name": schedule})
        pool, head = self.running.storage.pool, await self.running.storage.store.head()
        await eventually(lambda: pool.fetchval(SLOWEST), lambda reached: reached >= head)
        assert self.running.archiver is not None
        await self.running.archiver.sweep(-1.0)

    async def all_archived(self) -> None:
        """Removes and archives everything, children before their parents."""
        pool = self.running.storage.pool
        for row in reversed(await pool.fetch(ENQUEUED, self.name)):
            await self.asked("job.remove", {"job_id": row["id"]})
        left = "SELECT count(*) FROM stored_events WHERE event_type = 'job.removed' AND tenant = $1"

        async def sweep() -> int:
            await self.archived()
            return int(await pool.fetchval(left, self.name))

        await eventually(sweep, lambda count: count == 0, seconds=60)

    async def _left(self) -> list[asyncpg.Record]:
        """The jobs that have not ended, after another round of work."""
        granted = await self.asked("job.claim", {"worker": "w", "queues": list(QUEUES), "slots": 100})
        assert isinstance(granted, Accepted)
        for grant in [*self.grants, *granted.result["grants"]]:
            await self.asked("job.report", outcome_of(grant, "completed"))
        self.grants.clear()
        pool = self.running.storage.pool
        rows = list(await pool.fetch(UNFINISHED, self.name))
        blocked = await pool.fetch("SELECT job_id FROM dependents WHERE tenant = $1 ORDER BY position", self.name)
        if rows and len(rows) == len(blocked):
            # They wait for parents that have failed for good.
            await self.asked("job.cancel", {"job_id": blocked[0]["job_id"]})
        return rows

    async def _incomplete(self) -> list[str]:
        found = [(await self.query("batch.get", {"batch_id": batch}))["batch"] for batch in self.batches]
        return [each["id"] for each in found if not each["is_complete"]]

    async def _called_back(self) -> None:
        """Each batch has enqueued its callback, and nothing else has."""
        pool = self.running.storage.pool
        streams = {batch: StreamName("batch", self.name, batch).text for batch in self.batches}
        wanted = {derived_id(self.name, f"{stream}/on_complete", "millrace") for stream in streams.values()}
        assert wanted <= await self._known()
        made = await pool.fetch(ENQUEUED, self.name)
        assert {row["id"] for row in made if json.loads(row["state"])["name"] == CALLBACK} <= wanted

    async def _fired_have_jobs(self) -> None:
        """Each run of a schedule has its job, and no two have the same."""
        fired = await self.running.storage.pool.fetch(FIRED, self.name)
        runs = {json.loads(row["state"])["job_id"] for row in fired}
        assert len(runs) == len(fired)
        await eventually(self._known, lambda known: runs <= known, seconds=60)

    async def _known(self) -> set[str]:
        """The ids of all jobs that there are or were."""
        rows = await self.running.storage.pool.fetch(KNOWN, self.name)
        return {row["subject"] for row in rows}


def outcome_of(grant: dict[str, Any], outcome: str) -> dict[str, Any]:
    """The report of an attempt: `completed`, `returned`, `snoozed` for a moment, `retried` after one where the job has
    another attempt, or `failed` for good."""
    named = {"job_id": grant["job_id"], "attempt": grant["attempt"]}
    error = {"type": "OSError", "message": "broken pipe"}
    match outcome:
        case "failed":
            return {**named, "outcome": "failed", "error": error, "retryable": False}
        case "retried":
            return {**named, "outcome": "failed", "error": error, "retry_after": MOMENT}
        case "snoozed":
            return {**named, "outcome": "returned", "reason": "not yet", "delay": MOMENT}
        case _:
            return {**named, "outcome": outcome}
