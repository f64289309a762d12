"""The queries in memory about what jobs wait in, belong to and come from. Nothing is ever behind: what was answered
can be read."""

from __future__ import annotations

from itertools import islice
from typing import Any

from millrace.contracts import batch as batch_contract
from millrace.contracts import circuit as circuit_contract
from millrace.contracts import event as event_contract
from millrace.contracts import queue as queue_contract
from millrace.contracts import schedule as schedule_contract
from millrace.contracts.recurrence import upcoming, zone_of
from millrace.testing.circuit_state import CircuitState
from millrace.testing.circuits import Circuits
from millrace.testing.claims import Claims
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.query import Query, position_before
from millrace.testing.queue_state import QueueState
from millrace.testing.refusals import Refusal
from millrace.testing.schedule_state import ScheduleState, recurring
from millrace.testing.states import BatchState
from millrace.testing.subscription_state import SubscriptionState


class Queries:
    """Answers from the log and the states in memory."""

    def __init__(self, log: MemoryLog, claims: Claims, circuits: Circuits) -> None:
        self._log, self._claims, self._circuits = log, claims, circuits

    def routes(self) -> dict[str, Query]:
        return {
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
        }

    def _batch(self, tenant: str, query: batch_contract.GetBatch) -> dict[str, Any]:
        stream = Stream("batch", tenant, query.batch_id)
        batch = self._log.states.get(stream)
        if not isinstance(batch, BatchState):
            raise Refusal("not-found", f"there is no batch {query.batch_id!r}")
        return {"batch": self._claims.bindings.batches.view(stream, batch)}

    def _batches(self, tenant: str, query: batch_contract.ListBatches) -> dict[str, Any]:
        before = position_before(query.cursor, self._log)
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
