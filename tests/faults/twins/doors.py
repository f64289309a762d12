"""Known-bad builds whose entry point does something wrong."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from adapters.postgres.database import Pool
from handlers.gateway import Gateway
from handlers.problems import refused
from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Batch, Context, Refused, Reply, derived_id
from millrace.ids import uuid7
from projections.jobs_queries import one_job
from tests.faults.twins.twin import Door, Twin, items

DELAY_SECONDS = 0.3
BUFFER_BYTES = 1_000_000
BACKGROUND: set[asyncio.Task[Any]] = set()


def reply_of(body: object, replies: list[Reply]) -> Reply:
    answers = [reply for reply in replies if not isinstance(reply, Batch)]
    return Batch(answers) if isinstance(body, list) else answers[0]


class ForgetsKeys(Twin):
    """Every command gets an id of its own, as where there is no inbox."""

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        class Bad(Door):
            async def execute(self, name: str, body: object, context: Context) -> Reply:
                if name != "job.enqueue":
                    return await self.inner.execute(name, body, context)
                renamed = [
                    (item, own._replace(message_id=uuid7(), causation_id=own.causation_id or own.message_id))
                    for item, own in items(body, context)
                ]
                return reply_of(
                    body, list(await asyncio.gather(*(self.inner.execute(name, *each) for each in renamed)))
                )

        return Bad(gateway)


class AnswersBeforeTheCommit(Twin):
    """Says yes at once and carries the command out a moment later."""

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        class Bad(Door):
            async def execute(self, name: str, body: object, context: Context) -> Reply:
                if name != "job.enqueue":
                    return await self.inner.execute(name, body, context)
                task = asyncio.create_task(self._later(name, body, context))
                BACKGROUND.add(task)
                task.add_done_callback(BACKGROUND.discard)
                yes: list[Reply] = [
                    Accepted({"job_id": derived_id(own.tenant, own.message_id, own.principal), "status": "pending"})
                    for _, own in items(body, context)
                ]
                return reply_of(body, yes)

            async def _later(self, name: str, body: object, context: Context) -> None:
                await asyncio.sleep(DELAY_SECONDS)
                await self.inner.execute(name, body, context)

        return Bad(gateway)


class HasNoFence(Twin):
    """Takes a report of any attempt for one of the attempt that is running."""

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        class Bad(Door):
            async def execute(self, name: str, body: object, context: Context) -> Reply:
                if name != "job.report":
                    return await self.inner.execute(name, body, context)
                return reply_of(body, [await self._one(item, own) for item, own in items(body, context)])

            async def _one(self, body: Any, context: Context) -> Reply:
                asked = await self.inner.query("log.history", {"kind": "job", "id": body["job_id"]}, context)
                if isinstance(asked, Accepted):
                    begun = [each for each in asked.result["events"] if each["eventtype"] == "job.started"]
                    body = {**body, "attempt": begun[-1]["data"]["attempt"]}
                return await self.inner.execute("job.report", body, context)

        return Bad(gateway)


class SpreadsPoison(Twin):
    """Lets a failure be the failure of whatever is reported next, too, for good."""

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        class Bad(Door):
            sick = False

            async def execute(self, name: str, body: object, context: Context) -> Reply:
                if name != "job.report":
                    return await self.inner.execute(name, body, context)
                replies = []
                for item, own in items(body, context):
                    assert isinstance(item, dict)
                    failed = item["outcome"] == "failed"
                    if self.sick and not failed:
                        item = {key: item[key] for key in ("job_id", "attempt")}
                        item |= {"outcome": "failed", "retryable": False, "error": {"type": "Caught", "message": "it"}}
                    self.sick = failed
                    replies.append(await self.inner.execute(name, item, own))
                return reply_of(body, replies)

        return Bad(gateway)


class ReadsWhatItHas(Twin):
    """Answers reads from its tables as they are, without waiting for the position that is asked for."""

    pool: Pool

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        twin = self

        class Bad(Door):
            async def query(
                self, name: str, body: Any, context: Context, min_position: str | None = None
            ) -> Accepted | Refused:
                if name != "job.get":
                    return await self.inner.query(name, body, context, min_position)
                async with twin.pool.acquire() as connection:
                    job = await one_job(connection, context.tenant, body["job_id"])
                return refused("not-found", "there is no such job yet") if job is None else Accepted({"job": job})

        return Bad(gateway)

    async def prepare(self, system: System) -> None:
        self.pool = system.storage.pool


class WaitsForEver(Twin):
    """Asks a dead database again until it is back, however long that takes."""

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        class Bad(Door):
            async def query(
                self, name: str, body: object, context: Context, min_position: str | None = None
            ) -> Accepted | Refused:
                while True:
                    answer = await self.inner.query(name, body, context, min_position)
                    if isinstance(answer, Accepted) or answer.problem.code != "unavailable":
                        return answer
                    await asyncio.sleep(DELAY_SECONDS)

        return Bad(gateway)


class MixesTenants(Twin):
    """Shows one tenant the log of another."""

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        class Bad(Door):
            async def query(
                self, name: str, body: object, context: Context, min_position: str | None = None
            ) -> Accepted | Refused:
                if name == "log.read" and context.tenant == "south":
                    context = context._replace(tenant="west")
                return await self.inner.query(name, body, context, min_position)

        return Bad(gateway)


class KeepsWhatItWasSent(Twin):
    """Each command has a buffer of its own, and none is ever let go."""

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        kept: list[bytes] = []

        class Bad(Door):
            async def execute(self, name: str, body: object, context: Context) -> Reply:
                kept.append(os.urandom(BUFFER_BYTES))
                return await self.inner.execute(name, body, context)

        return Bad(gateway)
