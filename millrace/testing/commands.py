"""Which decision a command leads to, on which aggregate, and what the caller is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from millrace.contracts import batch as batch_contract
from millrace.contracts import circuit as circuit_contract
from millrace.contracts import deadletter as repair_contract
from millrace.contracts import event as event_contract
from millrace.contracts import job as job_contract
from millrace.contracts import queue as queue_contract
from millrace.contracts import schedule as schedule_contract
from millrace.contracts.wire import Context, Fact, Message, derived_id
from millrace.testing import (
    batches,
    circuit_state,
    job_decisions,
    job_repair,
    queue_decisions,
    schedule_decisions,
    subscription_decisions,
)
from millrace.testing.bindings import Bindings
from millrace.testing.job_results import MemoryResults
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.scheduler import Start
from millrace.testing.states import Published


@dataclass(frozen=True, slots=True)
class Route:
    """A command of the in-memory service.

    Attributes:
        model: validates the body.
        kind: of the aggregate.
        identify: the aggregate's id.
        decide: (state or None, command, now) to events; raises `Refusal`.
        answer: (id, state) to the result.
        creates: a missing aggregate is no refusal.
        remembered: the same message id gives the same answer again.
        continues: events keep the correlation of the aggregate's first.
        decide_at: the same where the decision must know the stream.
        admit: what other jobs say to it, before it decides: an answer, a `Refusal`, or None.
    """

    model: type[Message]
    kind: str
    identify: Callable[[Any, Context], str]
    decide: Callable[[Any, Any, datetime], list[Fact]]
    answer: Callable[[str, Any], dict[str, Any]]
    creates: bool = False
    remembered: bool = True
    continues: bool = False
    admit: Callable[[Stream, Any, Any, Context], dict[str, Any] | None] | None = None
    decide_at: Callable[[Stream, Any, Any, datetime], list[Fact]] | None = None


def _derived(_: Any, context: Context) -> str:
    return derived_id(context.tenant, context.message_id, context.principal)


def _job_id(command: Any, _: Context) -> str:
    return str(command.job_id)


def _name(command: Any, _: Context) -> str:
    return str(command.name)


def _status(id: str, job: Any) -> dict[str, Any]:
    return {"job_id": id, "status": job.status}


def _success(id: str, job: Any) -> dict[str, Any]:
    return {"job_id": id, "success": True}


def job_routes(bindings: Bindings, results: MemoryResults) -> dict[str, Route]:
    """Commands that a job decides."""
    contract, decisions = job_contract, job_decisions

    def admit_new(stream: Stream, job: Any, command: Any, context: Context) -> dict[str, Any] | None:
        return bindings.enqueue(stream, command, context) if job is None else None

    def admit_again(stream: Stream, job: Any, command: Any, context: Context) -> None:
        bindings.revive(stream, job)

    def admit_report(stream: Stream, job: Any, command: Any, context: Context) -> None:
        results.verify(stream, job, command)

    return {
        "job.enqueue": Route(
            contract.Enqueue,
            "job",
            _derived,
            lambda job, command, now: decisions.enqueue(command, now) if job is None else [],
            lambda id, job: _status(id, job) | {"created_at": job.created_at, "run_at": job.run_at},
            creates=True,
            admit=admit_new,
        ),
        "job.change": Route(contract.Change, "job", _job_id, decisions.change, _status),
        "job.cancel": Route(
            contract.Cancel, "job", _job_id, decisions.cancel, lambda id, job: _status(id, job) | {"success": True}
        ),
        "job.retry": Route(contract.RetryDead, "job", _job_id, decisions.revive, _status, admit=admit_again),
        "job.remove": Route(contract.Remove, "job", _job_id, decisions.remove, _success),
        "job.report": Route(
            contract.Report,
            "job",
            _job_id,
            decisions.report,
            _status,
            remembered=False,
            continues=True,
            admit=admit_report,
        ),
        "job.checkpoint": Route(
            contract.Checkpoint, "job", _job_id, decisions.checkpoint, _status, remembered=False, continues=True
        ),
    }


def repair_routes() -> dict[str, Route]:
    """Commands that mend a dead-lettered job."""

    def undone(id: str, job: Any) -> dict[str, Any]:
        return _status(id, job) | {"undone": job.undone}

    return {
        "job.edit": Route(repair_contract.EditDead, "job", _job_id, job_repair.edit, _status),
        "job.undo": Route(repair_contract.Undo, "job", _job_id, job_repair.undo, undone),
    }


def batch_routes(track: Callable[[Stream, batch_contract.CreateBatch, Context], None]) -> dict[str, Route]:
    """Commands that a batch decides.

    Args:
        track: makes the progress that a new batch wishes for.
    """
    contract = batch_contract

    def admit(stream: Stream, batch: Any, command: batch_contract.CreateBatch, context: Context) -> None:
        if batch is None:
            track(stream, command, context)

    def named(command: Any, _: Context) -> str:
        return str(command.batch_id)

    def told(id: str, state: Any) -> dict[str, Any]:
        return {"batch_id": id, "is_sealed": state.is_sealed, "is_cancelled": state.is_cancelled}

    return {
        "batch.create": Route(contract.CreateBatch, "batch", _derived, batches.create, told, creates=True, admit=admit),
        "batch.seal": Route(contract.SealBatch, "batch", named, batches.seal, told),
        "batch.cancel": Route(contract.CancelBatch, "batch", named, batches.cancel, told),
    }


def circuit_routes() -> dict[str, Route]:
    """Commands that a circuit breaker decides."""
    contract, decisions = circuit_contract, circuit_state

    def told(_: str, circuit: Any) -> dict[str, Any]:
        return {"name": circuit.name, "state": circuit.state}

    return {
        "circuit.configure": Route(
            contract.ConfigureCircuit, "circuit", _name, decisions.configure, told, creates=True
        ),
        "circuit.reset": Route(contract.ResetCircuit, "circuit", _name, decisions.reset, told),
    }


def circuit_steps() -> dict[str, Route]:
    """What only the service tells a circuit breaker."""

    def told(_: str, circuit: Any) -> dict[str, Any]:
        return {"name": circuit.name, "state": circuit.state}

    return {
        "circuit.judge": Route(circuit_state.Judge, "circuit", _name, circuit_state.judge, told, remembered=False),
        "circuit.half_open": Route(
            circuit_state.HalfOpen, "circuit", _name, circuit_state.half_open, told, remembered=False
        ),
    }


def queue_routes() -> dict[str, Route]:
    """Commands that a queue decides."""
    contract, decisions = queue_contract, queue_decisions

    def told(id: str, state: Any) -> dict[str, Any]:
        return {"name": id, "paused": state.paused}

    return {
        "queue.configure": Route(contract.Configure, "queue", _name, decisions.configure, told, creates=True),
        "queue.pause": Route(contract.Pause, "queue", _name, decisions.pause, told, creates=True),
        "queue.resume": Route(contract.Resume, "queue", _name, decisions.resume, told, creates=True),
    }


def schedule_routes() -> dict[str, Route]:
    """Commands that a schedule decides."""
    contract, decisions, kind = schedule_contract, schedule_decisions, "schedule"

    def told(id: str, state: Any) -> dict[str, Any]:
        return {"name": id, "paused": state.paused, "next_due_at": state.next_due_at}

    def removed(id: str, state: Any) -> dict[str, Any]:
        return {"name": id, "success": True}

    def triggered(id: str, state: Any) -> dict[str, Any]:
        return {"name": id, "job_id": state.last_job_id}

    return {
        "schedule.create": Route(contract.CreateSchedule, kind, _name, decisions.create, told, creates=True),
        "schedule.change": Route(contract.ChangeSchedule, kind, _name, decisions.change, told),
        "schedule.pause": Route(contract.PauseSchedule, kind, _name, decisions.pause, told),
        "schedule.resume": Route(contract.ResumeSchedule, kind, _name, decisions.resume, told),
        "schedule.remove": Route(contract.RemoveSchedule, kind, _name, decisions.remove, removed),
        "schedule.trigger": Route(contract.TriggerSchedule, kind, _name, decisions.trigger, triggered),
    }


def internal_routes(enqueuing: Route) -> dict[str, Route]:
    """The command that only the scheduler gives: a job under an id that a run has given it."""
    return {"job.start": replace(enqueuing, model=Start, identify=_job_id)}


def event_routes() -> dict[str, Route]:
    """Publishing an application's own events."""

    def publish(state: Any, command: event_contract.Publish, now: datetime) -> list[Fact]:
        return [] if state else [Published(event_type=command.event_type, payload=command.payload)]

    def answer(id: str, state: Any) -> dict[str, Any]:
        return {"event_id": id, "event_type": state.event_type}

    return {"event.publish": Route(event_contract.Publish, "event", _derived, publish, answer, creates=True)}


def subscription_routes(log: MemoryLog) -> dict[str, Route]:
    """Commands that a subscription decides; positions are tokens of the log."""
    contract, decisions = event_contract, subscription_decisions

    def told(id: str, state: Any) -> dict[str, Any]:
        return {"name": id, "is_active": state.is_active, "position": log.token(state.place)}

    def create(state: Any, command: event_contract.Subscribe, now: datetime) -> list[Fact]:
        return decisions.create(state, command, log.position_of(command.start) if state is None else 0)

    def acknowledge(state: Any, command: event_contract.Acknowledge, now: datetime) -> list[Fact]:
        return decisions.acknowledge(state, log.position_of(command.position))

    def park(state: Any, command: event_contract.Park, now: datetime) -> list[Fact]:
        return decisions.park(state, command, log.position_of(command.position))

    def release(state: Any, command: event_contract.Release, now: datetime) -> list[Fact]:
        return decisions.release(state, command)

    def set_active(state: Any, command: event_contract.SetActive, now: datetime) -> list[Fact]:
        return decisions.set_active(state, command)

    kind = "subscription"
    return {
        "subscription.create": Route(contract.Subscribe, kind, _name, create, told, creates=True),
        "subscription.acknowledge": Route(contract.Acknowledge, kind, _name, acknowledge, told),
        "subscription.park": Route(contract.Park, kind, _name, park, told),
        "subscription.release": Route(contract.Release, kind, _name, release, told),
        "subscription.set_active": Route(contract.SetActive, kind, _name, set_active, told),
    }
