"""Results that are too large for the log: taken in part by part from the attempt that made them, and read so.

A part is a message of its own, the same over HTTP and RabbitMQ, and an object of its own: so nobody, neither worker's
connection nor service, ever holds more than one part, however large the result is.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Sequence
from typing import Any

from pydantic_core import to_json

from domain.errors import StaleAttempt
from domain.job import KIND, Job
from domain.ports import EventStore, ResultParts, StoreUnavailable, StreamName
from domain.result_errors import (
    NoResult,
    NoResultStorage,
    NoSuchJob,
    NoSuchPart,
    PartDamaged,
    ResultIncomplete,
    ResultLost,
    ResultTooLarge,
)
from domain.storage import ObjectDamaged, ObjectMissing, ObjectStore, ObjectUnavailable, StoredObject
from handlers.job import Verify
from handlers.routes import OperationRoute, QueryRoute
from millrace.contracts import job_result as contract
from millrace.contracts.job import Report
from millrace.contracts.wire import Context


def folder_of(job_id: str, attempt: int) -> str:
    """Where the parts of an attempt's result are: nobody else's, so that they go with it."""
    return f"results/{job_id}/{attempt}"


def object_of(tenant: str, job_id: str, attempt: int, sha256: str, size: int) -> StoredObject:
    """A part, as the storage knows it."""
    return StoredObject(f"{tenant}/{folder_of(job_id, attempt)}/{sha256}", sha256, size)


def operation_routes(
    store: EventStore, objects: ObjectStore | None, parts: ResultParts, limit: int
) -> dict[str, OperationRoute]:
    """Parts are stored each time they arrive; repeated ones are there already.

    Args:
        limit: bytes of a result at most.
    """

    async def upload(command: contract.Upload, context: Context) -> dict[str, Any]:
        if objects is None:
            raise NoResultStorage
        if command.total > limit:
            raise ResultTooLarge(command.total, limit)
        content = _decoded(command)
        job = await _job(store, context.tenant, command.job_id)
        if job.status != "processing" or job.attempt != command.attempt:
            raise StaleAttempt(command.attempt, job.attempt, job.status)
        # Noted first: what is in the storage and known to nobody would stay there for ever.
        held = await parts.note(context.tenant, command.job_id, command.attempt, command.sha256, len(content))
        if held > limit:
            raise ResultTooLarge(held, limit)
        try:
            await objects.put(context.tenant, folder_of(command.job_id, command.attempt), content)
        except ObjectUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        return {"sha256": command.sha256, "size": len(content)}

    return {"job.upload": OperationRoute(contract.Upload, upload)}


def verified_by(store: EventStore, objects: ObjectStore | None) -> Verify:
    """Looks whether the parts of a result that is reported as uploaded are in the storage, in the size they are said to
    have: a job that has completed has its result."""

    def verify(report: Report, context: Context) -> Awaitable[None] | None:
        return None if report.stored is None else look(report, report.stored.parts, context.tenant)

    async def look(report: Report, parts: Sequence[contract.Part], tenant: str) -> None:
        stream = StreamName(KIND, tenant, report.job_id)
        loaded = (await store.load([stream])).get(stream)
        job = None if loaded is None else Job.replayed(loaded.events, loaded.snapshot)  # type: ignore[arg-type]
        if job is None or job.status != "processing" or job.attempt != report.attempt:
            # Whatever is told to it has nothing to do with the result.
            return
        if objects is None:
            raise NoResultStorage
        places = [object_of(tenant, report.job_id, report.attempt, part.sha256, part.size) for part in parts]
        there = await asyncio.gather(*(_is_there(objects, place) for place in places))
        missing = [place.sha256 for place, found in zip(places, there, strict=True) if not found]
        if missing:
            raise ResultIncomplete(missing, len(places))

    return verify


def query_routes(store: EventStore, objects: ObjectStore | None) -> dict[str, QueryRoute]:
    """One part of a result."""

    async def read(query: contract.GetResult, context: Context) -> dict[str, Any]:
        job = await _job(store, context.tenant, query.job_id)
        if job.status != "completed":
            raise NoResult(job.status)
        stored = contract.stored_of(job.result)
        content = b"" if stored is not None else to_json(job.result)
        parts = 1 if stored is None else len(stored.parts)
        if query.part >= parts:
            raise NoSuchPart(query.part, parts)
        if stored is not None:
            part = stored.parts[query.part]
            wanted = object_of(context.tenant, query.job_id, job.attempt, part.sha256, part.size)
            content = await _fetched(objects, wanted)
        return {
            "part": query.part,
            "parts": parts,
            "content": b64encode(content).decode(),
            "sha256": hashlib.sha256(content).hexdigest() if stored is None else stored.sha256,
            "size": len(content) if stored is None else stored.size,
            "content_type": "application/json",
        }

    return {"job.result": QueryRoute(contract.GetResult, read)}


def _decoded(command: contract.Upload) -> bytes:
    try:
        content = b64decode(command.content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PartDamaged from error
    if len(content) > contract.PART_BYTES or hashlib.sha256(content).hexdigest() != command.sha256:
        raise PartDamaged
    return content


async def _job(store: EventStore, tenant: str, job_id: str) -> Job:
    stream = StreamName(KIND, tenant, job_id)
    loaded = (await store.load([stream])).get(stream)
    job = None if loaded is None else Job.replayed(loaded.events, loaded.snapshot)  # type: ignore[arg-type]
    if job is None or job.removed:
        raise NoSuchJob(job_id)
    return job


async def _is_there(objects: ObjectStore, stored: StoredObject) -> bool:
    try:
        return await objects.size(stored) == stored.size
    except ObjectMissing:
        return False
    except ObjectUnavailable as error:
        raise StoreUnavailable(str(error)) from error


async def _fetched(objects: ObjectStore | None, stored: StoredObject) -> bytes:
    if objects is None:
        raise NoResultStorage
    try:
        return await objects.get(stored)
    except ObjectUnavailable as error:
        raise StoreUnavailable(str(error)) from error
    except (ObjectMissing, ObjectDamaged) as error:
        raise ResultLost(str(error)) from error
