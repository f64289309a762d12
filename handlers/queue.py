"""Queue commands: order and limits, pausing, draining."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from domain.job import Job
from domain.ports import StoreUnavailable, WaitingJobs
from domain.queue import DEFAULTS, Queue
from handlers.pipeline import Pipeline
from handlers.routes import CommandRoute, Decided, Moment, OperationRoute
from millrace.contracts import queue as contract
from millrace.contracts.wire import Accepted, Context, Identifier, Message, Refused
from projections.queue import rules_of
from projections.work import work_of

Files = Mapping[str, Mapping[str, Any]]
DRAINED = "its queue was drained"
DRAINED_AT_ONCE = 1_000


def configure(files: Files, queue: Queue | None, command: contract.Configure, at: Moment) -> Decided:
    opened = queue or Queue.open(at.stream, at.now, command.name)
    given = command.model_dump(include=command.model_fields_set - {"name"})
    before = opened.settings or {**DEFAULTS, **files.get(command.name, {})}
    opened.configure(with_bursts({**before, **given}), at.now)
    return _told(opened)


def pause(queue: Queue | None, command: contract.Pause, at: Moment) -> Decided:
    opened = queue or Queue.open(at.stream, at.now, command.name)
    opened.pause(command.reason, at.now)
    return _told(opened)


def resume(queue: Queue | None, command: contract.Resume, at: Moment) -> Decided:
    opened = queue or Queue.open(at.stream, at.now, command.name)
    opened.resume(at.now)
    return _told(opened)


def with_bursts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the burst of each rate filled in."""
    return {
        **settings,
        "rate": _burst(settings["rate"]),
        "per_name": {name: _limit(limit) for name, limit in settings["per_name"].items()},
        "per_key": None if settings["per_key"] is None else _limit(settings["per_key"]),
    }


def _limit(limit: Mapping[str, Any]) -> dict[str, Any]:
    return {**limit, "rate": _burst(limit["rate"])}


def _burst(rate: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if rate is None else {**rate, "burst": rate["burst"] or rate["limit"]}


def _told(queue: Queue) -> Decided:
    return Decided(queue, {"name": queue.name, "paused": queue.paused})


def _named(command: Any, _: Context) -> str:
    return str(command.name)


def command_routes(files: Files) -> dict[str, CommandRoute]:
    """Commands that a queue decides.

    Args:
        files: settings of queues from the configuration file, which hold until a queue is configured by command.
    """
    rules = partial(rules_of, files)
    return {
        "queue.configure": CommandRoute(
            contract.Configure, Queue, partial(configure, files), _named, required=False, work=rules
        ),
        "queue.pause": CommandRoute(contract.Pause, Queue, pause, _named, required=False, work=rules),
        "queue.resume": CommandRoute(contract.Resume, Queue, resume, _named, required=False, work=rules),
    }


class DrainJob(Message):
    """`job.drain`, from inside only: cancels a job that still waits."""

    job_id: Identifier


def drain_job(job: Job, command: DrainJob, at: Moment) -> Decided:
    """A job that has been granted in the meantime goes on."""
    if job.status in ("pending", "delayed"):
        job.cancel(DRAINED, at.now)
    return Decided(job, {"job_id": at.id, "status": job.status})


def internal_routes() -> dict[str, CommandRoute]:
    """Commands that only draining gives."""
    return {
        "job.drain": CommandRoute(
            DrainJob, Job, drain_job, lambda command, _: str(command.job_id), remembered=False, work=work_of
        )
    }


def operation_routes(waiting: WaitingJobs, pipeline: Pipeline) -> dict[str, OperationRoute]:
    """Draining: as many cancellations as there are jobs, so that each job's history tells."""

    async def drain(command: contract.Drain, context: Context) -> dict[str, Any]:
        cancelled = 0
        until = await waiting.newest()
        while found := await waiting.some(context.tenant, command.name, until, DRAINED_AT_ONCE):
            answers = await pipeline.execute("job.drain", [({"job_id": job_id}, context) for job_id in found])
            for answer in answers:
                if isinstance(answer, Refused):
                    raise StoreUnavailable(f"the queue is not empty yet, drain it again: {answer.problem.detail}")
            cancelled += sum(isinstance(a, Accepted) and a.result["status"] == "cancelled" for a in answers)
        return {"name": command.name, "cancelled": cancelled}

    return {"queue.drain": OperationRoute(contract.Drain, drain)}
