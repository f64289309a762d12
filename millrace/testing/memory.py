"""The service in memory: the wire's commands and queries, answered by the rules of the real one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from millrace.contracts import job as contract
from millrace.contracts import job_bulk
from millrace.contracts.deadletter import PurgeDeadLetters, RetryDeadLetters
from millrace.contracts.event import Lease
from millrace.contracts.job_logs import Log
from millrace.contracts.job_result import Upload
from millrace.contracts.notification_resend import ResendSince
from millrace.contracts.operations import OPERATIONS
from millrace.contracts.queue import Drain
from millrace.contracts.siblings import name_siblings
from millrace.contracts.wire import MAX_BATCH_ITEMS, Accepted, Batch, Context, Refused, Reply
from millrace.testing.circuits import Circuits
from millrace.testing.claims import Claims
from millrace.testing.clock import VirtualClock
from millrace.testing.commands import (
    batch_routes,
    circuit_routes,
    circuit_steps,
    event_routes,
    internal_routes,
    job_routes,
    queue_routes,
    repair_routes,
    schedule_routes,
    subscription_routes,
)
from millrace.testing.dead_letters import DeadLetterQueries
from millrace.testing.job_logs import MemoryJobLogs
from millrace.testing.job_queries import JobQueries
from millrace.testing.job_results import MemoryResults
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.log_queries import LogQueries
from millrace.testing.many_jobs import Wish, change_many
from millrace.testing.notification_deliveries import MemoryDeliveries
from millrace.testing.notifications import MemoryNotifications
from millrace.testing.pipeline import Pipeline
from millrace.testing.progress import MemoryProgress
from millrace.testing.progress_state import ProgressState
from millrace.testing.queries import Queries
from millrace.testing.refusals import Refusal, invalid, refused
from millrace.testing.schedule_state import ScheduleState
from millrace.testing.scheduler import Scheduler
from millrace.testing.siblings import enqueue_siblings
from millrace.testing.states import BatchState, State
from millrace.testing.subscription_leases import SubscriptionLeases
from millrace.testing.templates import MemoryTemplates

T = TypeVar("T")
MANY: dict[str, type[Wish]] = {
    "job.cancel_many": job_bulk.CancelMany,
    "job.retry_many": job_bulk.RetryMany,
    "deadletter.retry": RetryDeadLetters,
    "deadletter.purge": PurgeDeadLetters,
}


class InMemory:
    """A service without a server: any number of applications and threads may share it.

    Everything that it is told is lost with it, and time only passes by its clock.

    Attributes:
        log: every event.
        claims: what can be claimed.
        job_logs: what attempts have logged.
        results: those that are too large for the log.
        notifications: inboxes, and what is to be sent.
        deliveries: what was sent.
        templates: what notifications are made from.
        scheduler: what is due.
        subscription_leases: which worker delivers which subscription.
    """

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self.log = MemoryLog()
        self.claims = Claims(self.log, self.clock)
        self.subscription_leases = SubscriptionLeases(self.log, self.clock)
        self.job_logs = MemoryJobLogs(self.log)
        self.results = MemoryResults(self.log)
        self.templates = MemoryTemplates(self.log)
        self.notifications = MemoryNotifications(self.log, self.templates)
        self._progress = MemoryProgress(self.log, self.clock)
        self.deliveries = MemoryDeliveries(self.log, self.clock, self.notifications, self.templates)
        routes = {
            **job_routes(self.claims.bindings, self.results),
            **repair_routes(),
            **batch_routes(self._progress.track),
            **queue_routes(),
            **circuit_routes(),
            **schedule_routes(),
            **self.notifications.command_routes(),
            **self.templates.command_routes(),
            **event_routes(),
            **self._progress.routes(),
            **subscription_routes(self.log),
        }
        self._commands = routes
        internal = {**internal_routes(routes["job.enqueue"]), **circuit_steps()}
        self._pipeline = Pipeline(self.log, self.clock, {**routes, **internal}, self._recorded)
        self.circuits = self.claims.circuits = Circuits(self.log, self.clock, self._pipeline.execute)
        self.scheduler = Scheduler(self.log, self.clock, self._pipeline.execute)
        self._queries = {
            **JobQueries(self.log, self.claims, self.job_logs, self.circuits).routes(),
            **Queries(self.log, self.claims, self.circuits).routes(),
            **LogQueries(self.log).routes(),
            **DeadLetterQueries(self.log).routes(),
            **self.results.query_routes(),
            **self._progress.queries(),
            **self.notifications.query_routes(),
            **self.templates.query_routes(),
        }
        self._lock = threading.RLock()
        self._waiting: set[asyncio.Future[None]] = set()
        self.clock.on_move(self._moved)

    def execute(self, name: str, body: object, context: Context) -> Reply:
        """Carries out a command, or a batch of them; what is wrong with it is a `Refused`."""
        with self._lock:
            head = self.log.head
            reply = self._execute(name, body, context)
            self.circuits.look()
            # The end of a job may be what a run waits for.
            self.scheduler.fire_due()
            self.deliveries.deliver_due()
            news = self.log.head > head
        # A claim that waits in vain changes nothing; it would wake itself for ever.
        if news:
            self.changed()
        return reply

    def query(self, name: str, body: object, context: Context, min_position: str | None = None) -> Accepted | Refused:
        """Answers a query as of now; its `wait` is the transport's business."""
        route = self._queries.get(name)
        if route is None:
            return refused("unknown-query", f"there is no query {name!r}; known are {', '.join(sorted(self._queries))}")
        with self._lock:
            try:
                question = route.model.model_validate(body)
                if min_position is not None:
                    self.log.position_of(min_position)
                return Accepted(route.answer(context.tenant, question))
            except ValidationError as error:
                return invalid(error)
            except Refusal as refusal:
                return refusal.answer()

    def claim(self, tenant: str, worker: str, queues: tuple[str, ...] | None, slots: int) -> dict[str, Any]:
        """Grants jobs of some queues, or of all, like `job.claim`."""
        with self._lock:
            answer = self.claims.claim(tenant, worker, queues, slots)
        if answer["grants"]:
            self.changed()
        return answer

    async def until(self, attempt: Callable[[], T | None]) -> T:
        """What `attempt` returns once it is not None; it is called again after every change."""
        while True:
            signal = asyncio.get_running_loop().create_future()
            with self._lock:
                self._waiting.add(signal)
            try:
                result = attempt()
                if result is not None:
                    return result
                await signal
            finally:
                with self._lock:
                    self._waiting.discard(signal)

    def changed(self) -> None:
        """Wakes whoever waits in `until`, in whichever event loop."""
        with self._lock:
            waiting = list(self._waiting)
        for signal in waiting:
            # A loop that was closed has nobody left who waits.
            with suppress(RuntimeError):
                signal.get_loop().call_soon_threadsafe(_wake, signal)

    def _moved(self) -> None:
        with self._lock:
            self.circuits.look()
            self.scheduler.fire_due()
            self._progress.note_stalls()
            self.deliveries.deliver_due()
        self.changed()

    def _recorded(self, stream: Stream, state: State) -> None:
        self.claims.recorded(stream, state)
        if isinstance(state, JobState):
            self.circuits.recorded(stream, state)
            self.results.recorded(stream, state)
            if state.ended:
                error = state.errors[-1]["message"] if state.errors else None
                reason = state.cancel_reason if state.status == "cancelled" else error
                self._progress.end_with_job(stream, state.status, reason)
        self.notifications.recorded(stream, state)
        if isinstance(state, ScheduleState):
            self.scheduler.recorded(stream, state)
        if isinstance(state, ProgressState):
            self._progress.recorded(stream, state)
        batches = self.claims.bindings.batches
        if isinstance(state, BatchState):
            self._progress.count_jobs(stream, batches.view(stream, state))
        elif isinstance(state, JobState) and (found := batches.of(stream, state)) is not None:
            self._progress.count_jobs(found[0], batches.view(*found))

    def _execute(self, name: str, body: object, context: Context) -> Reply:
        if name in OPERATIONS:
            return self._operate(name, body, context)
        if name not in self._commands:
            known = ", ".join(sorted([*self._commands, *OPERATIONS]))
            return refused("unknown-command", f"there is no command {name!r}; known are {known}")
        if not isinstance(body, list):
            return self._carried_out(name, [(body, context)], single=True)
        if len(body) > MAX_BATCH_ITEMS:
            return refused("too-large", f"a batch has at most {MAX_BATCH_ITEMS} items, this one has {len(body)}")
        return self._carried_out(name, [_item(each, context, n) for n, each in enumerate(body)])

    def _carried_out(self, name: str, items: list[tuple[object, Context]], single: bool = False) -> Reply:
        if name == "job.enqueue" and name_siblings([body for body, _ in items]):
            answers: list[Accepted | Refused] | Refused = enqueue_siblings(partial(self._pipeline.execute, name), items)
        else:
            answers = [self._pipeline.execute(name, *item) for item in items]
        if isinstance(answers, Refused):
            return answers
        return answers[0] if single else Batch(answers)

    def _operate(self, name: str, body: object, context: Context) -> Accepted | Refused:
        try:
            if name == "job.renew":
                return Accepted(self.claims.renew(context.tenant, contract.Renew.model_validate(body)))
            if name == "job.withdraw":
                # Nobody holds claims in memory: each is answered with what is there.
                worker = contract.Withdraw.model_validate(body).worker
                self.claims.withdraw(context.tenant, worker)
                return Accepted({"worker": worker})
            if name == "job.log":
                return Accepted(self.job_logs.append(context.tenant, Log.model_validate(body)))
            if name == "job.upload":
                return Accepted(self.results.upload(context.tenant, Upload.model_validate(body)))
            if name == "queue.drain":
                return Accepted(self._drain(Drain.model_validate(body), context))
            if name == "subscription.lease":
                return Accepted(self.subscription_leases.lease(context.tenant, Lease.model_validate(body)))
            if (many := MANY.get(name)) is not None:
                return Accepted(self._change_many(many.model_validate(body), context))
            if name == "notification.resend_since":
                wish = ResendSince.model_validate(body)
                return Accepted(self.notifications.resend_since(wish, context, self._pipeline.execute))
            claim = contract.Claim.model_validate(body)
        except ValidationError as error:
            return invalid(error)
        except Refusal as refusal:
            return refusal.answer()
        if claim.tenants and claim.tenants != (context.tenant,):
            wished = claim.worker, claim.queues, claim.slots
            return Accepted(self.claims.claim_for_pool(context.tenant, claim.tenants, *wished))
        return Accepted(self.claims.claim(context.tenant, claim.worker, claim.queues, claim.slots))

    def _change_many(self, wish: Wish, context: Context) -> dict[str, Any]:
        return change_many(self.log, self._pipeline.execute, self.claims.status, wish, context)

    def _drain(self, command: Drain, context: Context) -> dict[str, Any]:
        waiting = self.claims.lanes(context.tenant).waiting(command.name)
        for job_id in waiting:
            body = {"job_id": job_id, "reason": "its queue was drained"}
            self._pipeline.execute("job.cancel", body, context._replace(message_id=f"drain:{job_id}:{self.log.head}"))
        return {"name": command.name, "cancelled": len(waiting)}


def _item(item: Any, context: Context, index: int) -> tuple[object, Context]:
    """A batch item is the command's body, or `{"id", "body"}` where it brings an id of its own."""
    if isinstance(item, dict) and item.keys() == {"id", "body"} and isinstance(item["id"], str):
        return item["body"], context.item(index, item["id"] if 0 < len(item["id"]) <= 128 else None)
    return item, context.item(index)


def _wake(signal: asyncio.Future[None]) -> None:
    if not signal.done():
        signal.set_result(None)
