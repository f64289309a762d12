"""From the arguments of `enqueue` to the command, and from its answer to the job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from millrace.contracts.job import Job, ParentPolicy, Retry, Unique
from millrace.job_arguments import as_data
from millrace.job_versions import KEY
from millrace.registry import JobDefinition, Registry


def enqueue_body(
    registry: Registry,
    name: str,
    data: Mapping[str, Any] | BaseModel | None = None,
    *,
    payload: Mapping[str, Any] | BaseModel | None = None,
    queue: str | None = None,
    priority: int | None = None,
    delay: float | None = None,
    run_at: datetime | None = None,
    max_attempts: int | None = None,
    timeout: float | None = None,
    retry: Retry | Mapping[str, Any] | str | None = None,
    backoff: Retry | Mapping[str, Any] | str | None = None,
    unique: Unique | Mapping[str, Any] | str | bool | None = None,
    after: Job | str | Iterable[Job | str] | None = None,
    on_parent_failure: ParentPolicy | None = None,
    batch: str | None = None,
    key: str | None = None,
    affinity: float | bool | None = None,
    ref: str | None = None,
) -> dict[str, Any]:
    """The body of `job.enqueue`; what is not given comes from the job's decorator.

    Raises:
        ValueError: two spellings of one thing at once, or a time without a zone.
        NotSerializable: the data cannot be written.
    """
    if data is not None and payload is not None:
        raise ValueError("give either `data` or `payload`, not both")
    if retry is not None and backoff is not None:
        raise ValueError("give either `retry` or `backoff`, not both")
    if run_at is not None and run_at.tzinfo is None:
        raise ValueError("`run_at` needs a time zone, for example datetime.now(UTC) + timedelta(hours=1)")
    definition = registry.jobs.get(name)
    given = {
        "queue": queue,
        "priority": priority,
        "delay": delay,
        "run_at": run_at,
        "max_attempts": max_attempts,
        "timeout": timeout,
        "retry": retry if retry is not None else backoff,
        "unique": unique or None,
        "after": None if after is None else _ids(after),
        "on_parent_failure": on_parent_failure,
        "batch": batch,
        "key": key,
        "affinity": affinity or None,
        "ref": ref,
    }
    own = as_data(data if data is not None else payload)
    body: dict[str, Any] = {"name": name, "data": _data(registry, definition, own)}
    if definition is not None:
        body.update(definition.options)
    body.update((key, value) for key, value in given.items() if value is not None)
    if not affinity and (affinity is not None or key is None):
        # The decorator's is for jobs that have a key, and only where the call does not want none.
        body.pop("affinity", None)
    return body


def _data(registry: Registry, definition: JobDefinition | None, own: dict[str, Any]) -> dict[str, Any]:
    """The data as it is sent; its version stands beside the serializer's envelope, for whoever cannot open that."""
    codecs = registry.codecs
    serializer = None if definition is None else definition.serializer
    if not codecs.is_plain(serializer):
        version = {KEY: own[KEY]} if KEY in own else {}
        arguments = {key: value for key, value in own.items() if key != KEY}
        own = {**codecs.written(serializer, arguments, "data"), **version}
    return own if definition is None else definition.versions.marked(own)


def _ids(after: Job | str | Iterable[Job | str]) -> list[str]:
    jobs = [after] if isinstance(after, Job | str) else after
    return [job if isinstance(job, str) else job.id for job in jobs]


def enqueued_job(body: Mapping[str, Any], result: Mapping[str, Any]) -> Job:
    """The job as it is right after it was accepted."""
    known = {key: body[key] for key in ("queue", "priority", "max_attempts", "timeout") if key in body}
    return Job(
        id=result["job_id"],
        name=body["name"],
        data=body["data"],
        status=result["status"],
        created_at=result["created_at"],
        run_at=result.get("run_at"),
        **known,
    )
