"""The worker: a process that claims jobs, runs their handlers and reports how they ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from millrace import worker_outcomes
from millrace.contracts.job_result import MAX_INLINE_BYTES
from millrace.ids import uuid7
from millrace.logs import Log
from millrace.worker_ahead import PATIENCE_SECONDS, Ahead
from millrace.worker_claims import Claims
from millrace.worker_declarations import declare
from millrace.worker_leases import Key, Leases, lease_clock
from millrace.worker_memory import watch_memory
from millrace.worker_renewals import Renewals
from millrace.worker_reports import Reports
from millrace.worker_runner import STOP_SECONDS, Run, Runner, Stop
from millrace.worker_shares import Shares
from millrace.worker_subscription_lease import SubscriptionLease
from millrace.worker_subscriptions import Delivery
from millrace.worker_threads import Threads

if TYPE_CHECKING:
    from millrace.client import Millrace

log = Log("millrace.worker")

MAX_UNREPORTED = 2_000
REPORT_SECONDS = 10.0


class Worker:
    """Runs an application's jobs and subscriptions until it is told to stop.

    A lost connection disturbs no handler: outcomes wait until they can be delivered. An attempt whose lease could not
    be renewed in time is stopped, because another worker may have it by then.

    Args:
        concurrency: jobs at the same time.
        queues: where to take jobs from; with weights, such as `{"default": 3, "media": 1}`, each gets that part of what
            the worker takes while all have jobs.
        grace: seconds that running handlers get to end by themselves when the worker stops; then they are canceled
            and their jobs handed back, which uses no attempt.
        tenants: whose jobs to take, in turn by the weights that the service's configuration gives them; `["*"]` for
            all, nothing for those of the application's tenant. The credential has to be allowed to.
        subscriptions: whether to deliver the application's subscriptions, too. Any number of workers may: each
            subscription is delivered by one of them at a time.
        max_memory: bytes that it and its handlers' processes may take; with more it stops as if told to.
        max_inline_result: bytes of JSON of a result that are kept with the job, 1,000,000 at most; larger results go to
            the service's storage.
        subscription_lease: seconds after which another worker goes on with the subscriptions of one that died.

    Attributes:
        started: set once the worker asks for jobs.
        outgrown: whether it stopped because it took more than `max_memory`.
    """

    def __init__(
        self,
        app: Millrace,
        *,
        concurrency: int = 10,
        queues: Sequence[str] | Mapping[str, float] = ("default",),
        tenants: Sequence[str] = (),
        grace: float = 30.0,
        subscriptions: bool = True,
        subscription_lease: float = 30.0,
        max_memory: int | None = None,
        max_inline_result: int = MAX_INLINE_BYTES,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        if max_memory is not None and max_memory < 1:
            raise ValueError(f"max_memory must be at least 1 byte, not {max_memory}")
        if not 0 <= max_inline_result <= MAX_INLINE_BYTES:
            raise ValueError(f"max_inline_result must be 0 to {MAX_INLINE_BYTES} bytes, not {max_inline_result}")
        if not 1 <= subscription_lease <= 3_600:
            raise ValueError(f"subscription_lease must be 1 to 3600 seconds, not {subscription_lease}")
        self.id = f"{socket.gethostname()[:64]}-{os.getpid()}-{uuid7()[-12:]}"
        self.started = asyncio.Event()
        self.outgrown = False
        self._max_memory = max_memory
        self._max_inline = max_inline_result
        self._app = app
        self._concurrency = concurrency
        self._queues = tuple(queues)
        self._shares = Shares(queues) if isinstance(queues, Mapping) else None
        self._tenants = tuple(tenants)
        self._grace = grace
        self._with_subscriptions = subscriptions
        self._subscription_lease = subscription_lease
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._runs: dict[Key, Run] = {}
        self._tenant_of: dict[Key, str | None] = {}
        # Granted and not begun, oldest first, with the time at which each came.
        self._waiting: OrderedDict[Key, tuple[dict[str, Any], float]] = OrderedDict()
        self._ahead = Ahead(concurrency)
        self._leases = Leases()
        self._threads = Threads()

    def stop(self) -> None:
        """Asks for a graceful end: no new jobs, running ones get their grace."""
        self._stopping.set()

    async def run(self, *, signals: bool = True) -> None:
        """Works until `stop` is called or the process gets SIGTERM or SIGINT; a second signal ends it at once.

        Args:
            signals: false leaves the process's signals alone.
        """
        self._app.registry.complete()
        self._reports = Reports(self._app.link, self._settled)
        self._runner = Runner(
            self._app.link, self._app.registry, self._threads, self._reports.add, self._ended, self._max_inline
        )
        self._claims = Claims(
            self._app.link,
            self.id,
            self._queues,
            self._ahead.capacity,
            self._occupied,
            self._accept,
            self._shares,
            self._tenants,
        )
        renewals = Renewals(
            self._app.link, self.id, self._leases, self._lost, self._told, self._heard, self._tenant_of.get
        )
        keeping = asyncio.create_task(renewals.run())
        declaring = asyncio.create_task(declare(self._app))
        deliveries = self._deliveries()
        delivering = [asyncio.create_task(delivery.run()) for delivery in deliveries]
        watching = asyncio.create_task(self._watch_memory())
        if signals:
            self._listen()
        try:
            if self._app.registry.jobs:
                self._claims.wake()
            log.info("worker started", worker=self.id, queues=list(self._queues), concurrency=self._concurrency)
            self.started.set()
            await self._told_to_stop(keeping)
            log.info("worker stops", worker=self.id, running=len(self._runs))
            for delivery in deliveries:
                delivery.stop()
            await self._wind_down(delivering)
        finally:
            for task in (keeping, declaring, watching, *delivering):
                task.cancel()
            await asyncio.gather(keeping, declaring, watching, *delivering, return_exceptions=True)
            await self._claims.stop()
            await self._reports.close()
            await self._runner.logs.close()
            self._runner.close()
            self._threads.close()
            if signals:
                self._stop_listening()
            log.info("worker stopped", worker=self.id)

    async def _watch_memory(self) -> None:
        if self._max_memory is not None:
            await watch_memory(self._max_memory, self._runner.processes.ids, self._outgrow)

    def _outgrow(self) -> None:
        self.outgrown = True
        self.stop()

    async def _told_to_stop(self, keeping: asyncio.Task[None]) -> None:
        told = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({told, keeping}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if keeping.done():
            # Without it no attempt would ever notice that it is not valid any more.
            self.stop()
            log.error("the watch over leases failed", error=repr(keeping.exception()))

    def _occupied(self) -> int:
        # With outcomes piling up there is no room, however idle the slots: memory is bounded too.
        held = len(self._runs) + len(self._waiting)
        return max(held, self._ahead.capacity()) if len(self._reports) >= MAX_UNREPORTED else held

    def _accept(self, grants: list[dict[str, Any]], sent: float, held: float, lease: float) -> None:
        now = lease_clock()
        for grant in grants:
            key = grant["job_id"], grant["attempt"]
            tenant = grant.get("tenant")
            if self._leases.grant(key, sent=sent, held=held, lease=lease, now=now) and not self._stopping.is_set():
                self._tenant_of[key] = tenant
                self._waiting[key] = grant, now
            else:
                self._reports.add(key, worker_outcomes.returned(*key), tenant)
        self._begin()
        if self._waiting:
            asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._give_back)

    def _begin(self) -> None:
        while self._waiting and len(self._runs) < self._concurrency:
            key, (grant, _) = self._waiting.popitem(last=False)
            self._runs[key] = self._runner.start(grant)
        if self._runs:
            self._idle.clear()

    def _give_back(self, patience: float = PATIENCE_SECONDS) -> None:
        """What has waited for too long others may run; it uses no attempt."""
        now = lease_clock()
        while self._waiting:
            key, (_, since) = next(iter(self._waiting.items()))
            if now - since < patience:
                return
            del self._waiting[key]
            self._reports.add(key, worker_outcomes.returned(*key), self._tenant_of.get(key))
            self._ahead.misjudged()

    def _ended(self, run: Run) -> None:
        if self._runs.pop(run.key, None) is not None:
            self._ahead.ended(asyncio.get_running_loop().time() - run.since)
        self._begin()
        if not self._runs:
            self._idle.set()
        self._claims.wake()

    def _settled(self, key: Key) -> None:
        self._leases.release(key)
        self._tenant_of.pop(key, None)
        self._claims.wake()

    def _told(self, key: Key) -> dict[str, Any] | None:
        run = self._runs.get(key)
        return None if run is None else run.job.untold

    def _heard(self, key: Key, details: dict[str, Any]) -> None:
        run = self._runs.get(key)
        # What was told while the renewal was on its way goes with the next one.
        if run is not None and run.job.untold is details:
            run.job.untold = None

    def _lost(self, key: Key, told: dict[str, Any]) -> None:
        self._leases.release(key)
        self._tenant_of.pop(key, None)
        self._waiting.pop(key, None)
        run = self._runs.get(key)
        if run is not None and run.reason is not Stop.LOST:
            run.job.told(told.get("status"), told.get("reason"))
            reason = told.get("status") or ("it is not valid any more" if told else "its lease could not be renewed")
            log.warning("an attempt is stopped", job=run.job.name, job_id=key[0], attempt=key[1], reason=reason)
            self._runner.stop(run, Stop.LOST)

    def _deliveries(self) -> list[Delivery]:
        if not self._with_subscriptions:
            return []
        definitions = sorted(self._app.registry.subscriptions.values(), key=lambda each: -each.priority)
        return [Delivery(self._app, each, self._threads, self._lease_of(each.name)) for each in definitions]

    def _lease_of(self, subscription: str) -> SubscriptionLease:
        return SubscriptionLease(self._app.link, subscription, self.id, self._subscription_lease)

    async def _wind_down(self, delivering: list[asyncio.Task[None]]) -> None:
        self._give_back(patience=0.0)
        await self._claims.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                await self._idle.wait()
                await asyncio.gather(*delivering, return_exceptions=True)
        for run in list(self._runs.values()):
            self._runner.stop(run, Stop.SHUTDOWN)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._idle.wait()
        for run in self._runs.values():
            self._runner.hand_back(run)
        with suppress(TimeoutError):
            async with asyncio.timeout(REPORT_SECONDS):
                await self._reports.drained()
                await self._runner.logs.drained()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _stop_listening(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        if self._stopping.is_set():
            # Handlers that ignore everything must not keep the process; their leases lapse by themselves.
            os._exit(128 + number)
        self.stop()
