"""Answers the queries about dead letters; what was done about one is read from its own stream."""

from __future__ import annotations

from typing import Any

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.job_queries import READER
from adapters.postgres.log_queries import NoSuchAggregate
from adapters.postgres.paging import position_before
from adapters.postgres.positions import ReaderPositions
from domain import job, job_events, job_repair
from domain.errors import NotDeadLettered
from domain.ports import RecordedEvent, StreamName
from handlers.routes import QueryRoute
from millrace.contracts import deadletter as contract
from millrace.contracts.json_patch import PatchFailed, patched
from millrace.contracts.wire import Context
from projections.dead_letters_queries import (
    counted_dead_letters,
    failure_groups,
    listed_dead_letters,
    one_dead_letter,
)

REPAIRS = (job_events.Revived, job_repair.Edited, job_repair.EditUndone, job_repair.RetryUndone)


class DeadLetterQueries:
    """Answers `deadletter.list`, `.groups`, `.get` and `.preview`."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, positions: ReaderPositions
    ) -> None:
        self._pool, self._store, self._positions = pool, store, positions

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "deadletter.list": QueryRoute(contract.ListDeadLetters, self._list, READER),
            "deadletter.groups": QueryRoute(contract.ListFailures, self._groups, READER),
            "deadletter.get": QueryRoute(contract.GetDeadLetter, self._get, READER),
            "deadletter.preview": QueryRoute(contract.PreviewEdit, self._preview, READER),
        }

    @translated
    async def _list(self, query: contract.ListDeadLetters, context: Context) -> dict[str, Any]:
        before = position_before(query.cursor)
        async with self._pool.acquire() as connection:
            jobs, following = await listed_dead_letters(connection, context.tenant, query, before)
        return {"jobs": jobs, "cursor": None if following is None else str(following)}

    @translated
    async def _groups(self, query: contract.ListFailures, context: Context) -> dict[str, Any]:
        async with self._pool.acquire() as connection:
            return await failure_groups(connection, context.tenant, query)

    @translated
    async def _get(self, query: contract.GetDeadLetter, context: Context) -> dict[str, Any]:
        dead = await self._one(context.tenant, query.job_id)
        history = await self._store.history(StreamName(job.KIND, context.tenant, query.job_id))
        first = history[0].event
        original = first.data if isinstance(first, job_events.Enqueued) else {}
        done = [_intervention(recorded) for recorded in history if isinstance(recorded.event, REPAIRS)]
        return {"job": dead, "original": original, "interventions": done}

    @translated
    async def _preview(self, query: contract.PreviewEdit, context: Context) -> dict[str, Any]:
        if query.job_id is not None:
            dead, count = [await self._one(context.tenant, query.job_id)], 1
        else:
            wanted = contract.ListDeadLetters(**query.model_dump(exclude={"job_id", "patch"}))
            async with self._pool.acquire() as connection:
                dead, _ = await listed_dead_letters(connection, context.tenant, wanted, None)
                count = await counted_dead_letters(connection, context.tenant, query)
        return {"count": count, "changes": [_change(each, query) for each in dead]}

    async def _one(self, tenant: str, job_id: str) -> dict[str, Any]:
        """A dead letter as of its newest event.

        Raises:
            NoSuchAggregate: the tenant has no such job, or it was removed.
            NotDeadLettered: it is not among the dead letters.
            BehindPosition: the read model has not come to its newest event in time.
        """
        last = await self._store.last_position(StreamName(job.KIND, tenant, job_id))
        if last is None:
            raise NoSuchAggregate(job.KIND, job_id)
        await self._positions.must_reach(READER, last)
        async with self._pool.acquire() as connection:
            dead = await one_dead_letter(connection, tenant, job_id)
            if dead is not None:
                return dead
            status = await connection.fetchval("SELECT status FROM jobs WHERE tenant = $1 AND id = $2", tenant, job_id)
        if status is None:
            raise NoSuchAggregate(job.KIND, job_id)
        raise NotDeadLettered(status)


def _change(dead: dict[str, Any], query: contract.PreviewEdit) -> dict[str, Any]:
    change: dict[str, Any] = {"job_id": dead["id"], "data": dead["data"]}
    try:
        return change | {"edited": patched(dead["data"], query.patch or ())}
    except PatchFailed as error:
        return change | {"edited": None, "problem": str(error)}


def _intervention(recorded: RecordedEvent) -> dict[str, Any]:
    event = recorded.event
    done = {"event": recorded.event_type, "at": recorded.recorded_at, "actor": recorded.metadata.actor}
    done["reason"] = getattr(event, "reason", None)
    if isinstance(event, job_repair.Edited):
        done["patch"] = event.patch
    return done
