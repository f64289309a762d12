"""The queries in memory. Nothing is ever behind: what was answered can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from millrace.contracts import batch as batch_contract
from millrace.contracts import circuit as circuit_contract
from millrace.contracts import event as event_contract
from millrace.contracts import job as job_contract
from millrace.contracts import log as log_contract
from millrace.contracts import queue as queue_contract
from millrace.contracts import schedule as schedule_contract
from millrace.contracts import why as why_contract
from millrace.contracts.job_graph import GetGraph
from millrace.contracts.job_logs import GetLogs
from millrace.contracts.recurrence import upcoming, zone_of
from millrace.contracts.wire import Message
from millrace.testing.circuit_state import CircuitState
from millrace.testing.circuits import Circuits
from millrace.testing.claims import Claims
from millrace.testing.job_graph import job_graph
from millrace.testing.job_logs import MemoryJobLogs
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Recorded, Stream
from millrace.testing.queue_state import QueueState
from millrace.testing.refusals import Refusal
from millrace.testing.schedule_state import ScheduleState, recurring
from millrace.testing.states import KINDS, BatchState, State, new_state
from millrace.testing.stats import detailed
from millrace.testing.subscription_state import SubscriptionState

STATUSES = ("pending", "processing", "completed", "failed", "delayed", "cancelled")


@dataclass(frozen=True, slots=True)
class Query:
    """A question: the model of its body, and (tenant, question) to the answer."""

    model: type[Message]
    answer: Callable[[str, Any], dict[str, Any]]


class Queries:
    """Answers from the log and the states in memory."""

    def __init__(self, log: MemoryLog, claims: Claims, job_logs: MemoryJobLogs, circuits: Circuits) -> None:
        self._log, self._claims, self._job_logs, self._circuits = log, claims, job_logs, circuits

    def routes(self) -> dict[str, Query]:
        return {
            "job.get": Query(job_contract.GetJob, self._job),
            "job.list": Query(job_contract.ListJobs, self._jobs),
            "job.why": Query(why_contract.WhyWaiting, self._why_waiting),
            "job.graph": Query(GetGraph, self._graph),
            "job.stats": Query(job_contract.JobStats, self._stats),
            "job.logs": Query(GetLogs, self._job_logs.read),
            "batch.get": Query(batch_contract.GetBatch, self._batch),
            "batch.list": Query(batch_contract.ListBatches, self._batches),
            "schedule.get": Query(
                schedule_contract.GetSchedule, lambda t, q: {"schedule": self._schedule(t, q.name).view()}
            ),
            "schedule.list": Query(schedule_contract.ListSchedules, self._schedules),
            "schedule.next": Query(schedule_contract.NextRuns, self._next_runs),
            "subscription.get": Query(event_contract.GetSubscription, self._subscription),
            "subscription.list": Query(event_contract.ListSubscriptions, self._subscriptions),
            "circuit.get": Query(circuit_contract.GetCircuit, self._circuit),
            "circuit.list": Query(circuit_contract.ListCircuits, self._all_circuits),
            "queue.get": Query(queue_contract.GetQueue, self._queue),
            "queue.list": Query(queue_contract.ListQueues, self._queues),
            "log.read": Query(log_contract.ReadLog, self._read),
            "log.history": Query(log_contract.GetHistory, self._history),
            "log.state": Query(log_contract.GetState, self._state),
            "log.why": Query(log_contract.GetCauses, self._why),
        }

    def _job(self, tenant: str, query: job_contract.GetJob) -> dict[str, Any]:
        job = self._log.states.get(Stream("job", tenant, query.job_id))
        if not isinstance(job, JobState) or job.removed:
            raise Refusal("not-found", f"there is no job {query.job_id!r}")
        return {"job": job.view()}

    def _graph(self, tenant: str, query: GetGraph) -> dict[str, Any]:
        if Stream("job", tenant, query.job_id) not in self._log.states:
            raise Refusal("not-found", f"there is no job {query.job_id!r}")
        return job_graph(self._log, tenant, query)

    def _jobs(self, tenant: str, query: job_contract.ListJobs) -> dict[str, Any]:
        before = position_before(query.cursor, self._log)
        wanted = {
            "status": query.status,
            "queue": query.queue,
            "name": query.name,
            "key": query.key,
            "dead_lettered": query.dead_lettered,
        }
        filters = {name: value for name, value in wanted.items() if value is not None}
        found = [
            job
            for job in self._all_jobs(tenant)
            if job.first_position < before
            and all(getattr(job, name) == value for name, value in filters.items())
            and self._searched(job, query)
            and query.waiting in (None, self._why_of(tenant, job).code)
        ]
        found.sort(key=lambda job: -job.first_position)
        page = found[: query.limit]
        cursor = str(page[-1].first_position) if len(found) > query.limit else None
        return {"jobs": [job.view() for job in page], "cursor": cursor}

    def _searched(self, job: JobState, query: job_contract.ListJobs) -> bool:
        finished = job.ended_at if job.status in ("completed", "failed") else None
        if not _within(job.created_at, query.created_after, query.created_before):
            return False
        if not _within(finished, query.finished_after, query.finished_before):
            return False
        if query.error is not None:
            wanted = set(job_contract.words_of(query.error))
            if not any(wanted <= set(job_contract.words_of(f"{e['type']} {e['message']}")) for e in job.errors):
                return False
        return True

    def _why_waiting(self, tenant: str, query: why_contract.WhyWaiting) -> dict[str, Any]:
        job = self._log.states.get(Stream("job", tenant, query.job_id))
        if not isinstance(job, JobState) or job.removed:
            raise Refusal("not-found", f"there is no job {query.job_id!r}")
        return self._why_of(tenant, job).model_dump()

    def _why_of(self, tenant: str, job: JobState) -> why_contract.Why:
        return why_contract.why(job.view(), self._claims.standing(tenant, job))

    def _stats(self, tenant: str, query: job_contract.JobStats) -> dict[str, Any]:
        jobs = [job for job in self._all_jobs(tenant) if query.queue in (None, job.queue)]
        counts = Counter(job.status for job in jobs)
        stats = {status: counts[status] for status in STATUSES} | {"workers": self._claims.workers(tenant)}
        if not query.details:
            return stats
        circuits = [each.to_wire() for each in self._circuits.all(tenant) if each.state != "closed"]
        told = {"circuits": [{name: each[name] for name in ("name", "state", "reason", "until")} for each in circuits]}
        return stats | told | detailed(self._log, self._claims, tenant, query.queue, jobs)

    def _all_jobs(self, tenant: str) -> list[JobState]:
        states = ((stream, state) for stream, state in self._log.states.items() if stream.tenant == tenant)
        return [state for _, state in states if isinstance(state, JobState) and not state.removed]

    def _batch(self, tenant: str, query: batch_contract.GetBatch) -> dict[str, Any]:
        stream = Stream("batch", tenant, query.batch_id)
        batch = self._log.states.get(stream)
        if not isinstance(batch, BatchState):
            raise Refusal("not-found", f"there is no batch {query.batch_id!r}")
        return {"batch": self._claims.bindings.batches.view(stream, batch)}

    def _batches(self, tenant: str, query: batch_contract.ListBatches) -> dict[str, Any]:
        before = self._log.head + 1
        if query.cursor is not None:
            if not (query.cursor.isascii() and query.cursor.isdigit()):
                raise Refusal("invalid", "cursor: take it from the page before, as it is")
            before = int(query.cursor)
        found = [
            (state.first_position, stream, state)
            for stream, state in self._log.states.items()
            if stream.tenant == tenant
            and isinstance(state, BatchState)
            and state.first_position < before
            and query.name in (None, state.name)
            and query.is_complete in (None, state.is_complete)
        ]
        found.sort(key=lambda each: -each[0])
        page = found[: query.limit]
        view = self._claims.bindings.batches.view
        cursor = str(page[-1][0]) if len(found) > len(page) else None
        return {"batches": [view(stream, state) for _, stream, state in page], "cursor": cursor}

    def _schedule(self, tenant: str, name: str) -> ScheduleState:
        schedule = self._log.states.get(Stream("schedule", tenant, name))
        if not isinstance(schedule, ScheduleState) or schedule.removed:
            raise Refusal("not-found", f"there is no schedule {name!r}")
        return schedule

    def _schedules(self, tenant: str, query: schedule_contract.ListSchedules) -> dict[str, Any]:
        states = [s for key, s in self._log.states.items() if key.tenant == tenant and isinstance(s, ScheduleState)]
        shown = [s for s in states if not s.removed and query.paused in (None, s.paused)]
        found = sorted((s for s in shown if s.name > (query.cursor or "")), key=lambda each: each.name)
        page = found[: query.limit]
        cursor = page[-1].name if len(found) > query.limit else None
        return {"schedules": [each.view() for each in page], "cursor": cursor}

    def _next_runs(self, tenant: str, query: schedule_contract.NextRuns) -> dict[str, Any]:
        schedule = self._schedule(tenant, query.name)
        plan, zone = schedule.plan, zone_of(schedule.plan["timezone"])
        recurrence = recurring(plan, schedule.anchor)
        due = list(islice(upcoming(recurrence, schedule.next_due_at, plan["ends_at"]), query.count))
        return {
            "name": schedule.name,
            "paused": schedule.paused,
            "timezone": plan["timezone"],
            "next": due,
            "local": [each.astimezone(zone).isoformat() for each in due],
        }

    def _subscription(self, tenant: str, query: event_contract.GetSubscription) -> dict[str, Any]:
        subscription = self._log.states.get(Stream("subscription", tenant, query.name))
        if not isinstance(subscription, SubscriptionState):
            raise Refusal("not-found", f"there is no subscription {query.name!r}")
        return {"subscription": subscription.view(self._log.token)}

    def _subscriptions(self, tenant: str, _: event_contract.ListSubscriptions) -> dict[str, Any]:
        found = [s for key, s in self._log.states.items() if key.tenant == tenant and isinstance(s, SubscriptionState)]
        found.sort(key=lambda each: (-each.priority, each.name))
        return {"subscriptions": [each.view(self._log.token, parked=False) for each in found]}

    def _circuit(self, tenant: str, query: circuit_contract.GetCircuit) -> dict[str, Any]:
        if (found := self._circuits.of(tenant, query.name)) is None:
            raise Refusal("not-found", f"there is no circuit {query.name!r}")
        return {"circuit": self._circuit_view(tenant, found)}

    def _all_circuits(self, tenant: str, _: circuit_contract.ListCircuits) -> dict[str, Any]:
        return {"circuits": [self._circuit_view(tenant, each) for each in self._circuits.all(tenant)]}

    def _circuit_view(self, tenant: str, circuit: CircuitState) -> dict[str, Any]:
        holds = self._circuits.holds(tenant, circuit.name)
        held = self._claims.lanes(tenant).named(circuit.name) if holds else 0
        return circuit.to_wire() | {"held": held}

    def _queue(self, tenant: str, query: queue_contract.GetQueue) -> dict[str, Any]:
        if query.name not in self._claims.lanes(tenant).names():
            raise Refusal("not-found", f"there is no queue {query.name!r}")
        return {"queue": self._queue_view(tenant, query.name)}

    def _queues(self, tenant: str, _: queue_contract.ListQueues) -> dict[str, Any]:
        return {"queues": [self._queue_view(tenant, name) for name in sorted(self._claims.lanes(tenant).names())]}

    def _queue_view(self, tenant: str, name: str) -> dict[str, Any]:
        state = self._log.states.get(Stream("queue", tenant, name))
        rules = state if isinstance(state, QueueState) else QueueState(name)
        ready, waiting, running, oldest = self._claims.counts(tenant, name)
        counts = {"ready": ready, "waiting": dict(waiting), "running": running, "oldest": oldest}
        return {"name": name, "paused": rules.paused, **rules.settings.model_dump(), **counts}

    def _read(self, tenant: str, query: log_contract.ReadLog) -> dict[str, Any]:
        after, head = self._log.position_of(query.after), self._log.head
        events: list[Recorded] = []
        for recorded in self._log.matching(tenant, query.pattern, after):
            events.append(recorded)
            if len(events) == query.limit:
                break
        reached = events[-1].position if len(events) == query.limit else head
        return {
            "events": self._told(events),
            "position": self._log.token(reached),
            "caught_up": reached >= head,
        }

    def _history(self, tenant: str, query: log_contract.GetHistory) -> dict[str, Any]:
        events = self._stream(query.kind, tenant, query.id)
        return {"events": self._told(events[query.after_version :][: query.limit])}

    def _state(self, tenant: str, query: log_contract.GetState) -> dict[str, Any]:
        reached = _moment(query.at)
        state: State = new_state(query.kind, query.id) if query.kind in KINDS else _missing(query.kind, query.id)
        for recorded in self._stream(query.kind, tenant, query.id):
            if reached(recorded):
                state.apply(recorded.fact, recorded.at, recorded.position)
        if not state.version:
            _missing(query.kind, query.id)
        return {"kind": query.kind, "id": query.id, "version": state.version, "state": state.to_wire()}

    def _why(self, tenant: str, query: log_contract.GetCauses) -> dict[str, Any]:
        own = [event for kind in KINDS for event in self._log.streams.get(Stream(kind, tenant, query.id), ())]
        if not own:
            _missing("aggregate", query.id)
        causes = {event.origin.correlation_id for event in own}
        related = [e for e in self._log.events if e.stream.tenant == tenant and e.origin.correlation_id in causes]
        return {"events": self._told(related)}

    def _stream(self, kind: str, tenant: str, id: str) -> list[Recorded]:
        return self._log.streams.get(Stream(kind, tenant, id)) or _missing(kind, id)

    def _told(self, events: list[Recorded]) -> list[dict[str, Any]]:
        return [self._log.cloud_event(event) for event in events]


def position_before(cursor: str | None, log: MemoryLog) -> int:
    """The position that a page continues before.

    Raises:
        Refusal: `invalid` for what no page has carried.
    """
    if cursor is None:
        return log.head + 1
    if not (cursor.isascii() and cursor.isdigit()):
        raise Refusal("invalid", "cursor: take it from the page before, as it is")
    return int(cursor)


def _within(time: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    """Whether a time lies in a range; what has no time lies in the range without bounds only."""
    if time is None:
        return after is None and before is None
    return (after is None or time >= after) and (before is None or time < before)


def _missing(kind: str, id: str) -> Any:
    raise Refusal("not-found", f"there is no {kind} {id!r}")


def _moment(at: str | None) -> Callable[[Recorded], bool]:
    """Which events had happened at a version or time."""
    if at is None:
        return lambda recorded: True
    if at.isascii() and at.isdigit():
        return lambda recorded: recorded.version <= int(at)
    try:
        time = datetime.fromisoformat(at)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise Refusal("invalid", f"at: {at!r} is neither a version (1, 2, 3 …) nor a time like 2026-01-31T12:00:00Z")
    until = time
    return lambda recorded: recorded.at <= until
