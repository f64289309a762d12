"""The service without its entry points: commands and queries go straight to the gateway."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from handlers.reactions import Reaction
from infra.bootstrap import System, build
from infra.composition import ROLES, Role
from infra.settings import Settings
from millrace.contracts.wire import Accepted, Batch, Context, Refused
from tests.support.eventually import eventually

TENANT = "acme"
_numbers = itertools.count(1)


@asynccontextmanager
async def system(
    dsn: str,
    roles: Sequence[Role] = ROLES,
    *,
    reactions: Sequence[Reaction] = (),
    lease: float = 30.0,
    unconfirmed: float = 60.0,
    queues: dict[str, Any] | None = None,
    tenants: dict[str, Any] | None = None,
    names: dict[str, Any] | None = None,
    storage: Path | None = None,
    results: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
) -> AsyncIterator[System]:
    """One process of the service; several on one database are several processes of it.

    Args:
        more: other parts of the section `modules.jobs`.
    """
    jobs: dict[str, Any] = {
        "leases": {"duration": lease, "unconfirmed": unconfirmed},
        "queues": queues or {},
        "tenants": tenants or {},
        "names": names or {},
        "results": results or {},
        **(more or {}),
    }
    if storage is not None:
        jobs["storage"] = {"path": str(storage)}
    settings = Settings.model_validate({"modules": {"jobs": jobs}, "database_url": dsn})
    built = await build(settings, dsn, roles, reactions=reactions)
    built.start()
    try:
        yield built
    finally:
        await built.stop()


def context(message_id: str | None = None, **given: Any) -> Context:
    return Context(given.pop("tenant", TENANT), message_id or f"m-{next(_numbers)}", **given)


Reply = Accepted | Refused | Batch


# What goes by itself: a server that does not answer in time, and a read model that has not caught up in time.
PASSING = ("unavailable", "behind")


async def repeated(ask: Callable[[], Awaitable[Reply]]) -> Reply:
    """The answer to what is asked again, with the same id, until it is not a refusal that goes by itself."""

    def passing(reply: Reply) -> bool:
        if isinstance(reply, Batch):
            return any(passing(item) for item in reply.items)
        return isinstance(reply, Refused) and reply.problem.code in PASSING

    return await eventually(ask, lambda reply: not passing(reply))


async def executed(system: System, command: str, body: object, context: Context) -> Reply:
    """The answer to a command, whatever it is."""
    return await repeated(lambda: system.gateway.execute(command, body, context))


async def told(system: System, command: str, body: object, message_id: str | None = None, **given: Any) -> Accepted:
    """The answer to a command that is accepted."""
    reply = await executed(system, command, body, context(message_id, **given))
    assert isinstance(reply, Accepted), reply
    return reply


async def refused(system: System, command: str, body: object, message_id: str | None = None, **given: Any) -> str:
    """The code of the problem that a command is answered with."""
    reply = await executed(system, command, body, context(message_id, **given))
    assert isinstance(reply, Refused), reply
    return reply.problem.code


async def batch(
    system: System, command: str, bodies: list[Any], message_id: str | None = None
) -> list[Accepted | Refused]:
    reply = await executed(system, command, bodies, context(message_id))
    assert isinstance(reply, Batch), reply
    return reply.items


async def answered(
    system: System, query: str, body: object, context: Context, min_position: str | None = None
) -> Reply:
    """The answer to a query, whatever it is."""
    return await repeated(lambda: system.gateway.query(query, body, context, min_position))


async def asked(system: System, query: str, body: object, min_position: str | None = None) -> dict[str, Any]:
    """The answer to a query that is answered."""
    reply = await answered(system, query, body, context(), min_position)
    assert isinstance(reply, Accepted), reply
    return reply.result


async def enqueued(system: System, message_id: str | None = None, **body: Any) -> str:
    """The id of a new job."""
    reply = await told(system, "job.enqueue", {"name": "transcribe", **body}, message_id)
    return str(reply.result["job_id"])


async def claimed(system: System, slots: int = 1, worker: str = "w-5", wait: float = 0.0, **given: Any) -> list[Any]:
    """What a claim is granted."""
    reply = await told(system, "job.claim", {"worker": worker, "slots": slots, "wait": wait, **given})
    grants: list[Any] = reply.result["grants"]
    return grants


async def reported(system: System, grant: Any, outcome: str = "completed", **body: Any) -> Accepted:
    if outcome == "failed":
        body = {"error": {"type": "OSError", "message": "broken pipe"}, **body}
    named = {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": outcome}
    return await told(system, "job.report", {**named, **body})


async def job(system: System, job_id: str) -> dict[str, Any]:
    """The job as it is read; never older than its newest event."""
    found: dict[str, Any] = (await asked(system, "job.get", {"job_id": job_id}))["job"]
    return found


async def history(system: System, job_id: str, kind: str = "job") -> list[str]:
    """The types of its events."""
    events = (await asked(system, "log.history", {"kind": kind, "id": job_id}))["events"]
    return [event["eventtype"] for event in events]
