"""Claims and renewals in memory. No lease lapses here: an attempt is valid until it is reported or the job canceled."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from millrace.contracts import job as contract
from millrace.contracts.why import Ready, Running, Standing, Waiting
from millrace.testing.affinity import Claimant
from millrace.testing.bindings import Bindings
from millrace.testing.circuits import Circuits
from millrace.testing.clock import VirtualClock
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Origin, Stream
from millrace.testing.pools import Shares
from millrace.testing.queue_state import QueueState
from millrace.testing.states import BatchState, State
from millrace.testing.work import Lanes

LEASE = 30.0
GRANT_LEASE = 5.0


class Claims:
    """Grants jobs, and knows which attempts are valid and which workers were seen lately.

    Attributes:
        weights: of tenants in the pools that serve several; 1 where a tenant has none.
    """

    def __init__(self, log: MemoryLog, clock: VirtualClock) -> None:
        self._log, self._clock = log, clock
        self._lanes: dict[str, Lanes] = {}
        self._seen: dict[tuple[str, str], datetime] = {}
        self._queues: dict[tuple[str, str], tuple[str, ...] | None] = {}
        self.circuits: Circuits | None = None
        self.weights: dict[str, float] = {}
        self._pools: dict[tuple[tuple[str, ...], tuple[str, ...]], Shares] = {}
        self.bindings = Bindings(log, clock, self.recorded, self._release)

    def recorded(self, stream: Stream, state: State) -> None:
        """A job may have become claimable, or have ceased to be; a queue may have other rules."""
        if isinstance(state, JobState):
            waits = self.bindings.follow(stream, state)
            self.lanes(stream.tenant).place(state, self._clock.now(), waits)
            owner = self.bindings.batches.of(stream, state)
            if owner is not None:
                self.bindings.batches.follow(*owner)
        elif isinstance(state, BatchState):
            self.bindings.batches.follow(stream, state)
        elif isinstance(state, QueueState):
            self.lanes(stream.tenant).rule(state, self._clock.now())

    def lanes(self, tenant: str) -> Lanes:
        """The jobs of a tenant that wait."""
        found = self._lanes.get(tenant)
        if found is None:
            found = self._lanes[tenant] = Lanes(lambda name: self._held(tenant, name))
        return found

    def _held(self, tenant: str, name: str) -> bool:
        return self.circuits is not None and self.circuits.holds(tenant, name)

    def _release(self, stream: Stream, job: JobState) -> None:
        self.lanes(stream.tenant).place(job, self._clock.now())

    def claim(self, tenant: str, worker: str, queues: tuple[str, ...] | None, slots: int) -> dict[str, Any]:
        """Grants what is ready now, out of some queues or of all; the answer to `job.claim`."""
        self._seen[tenant, worker] = self._clock.now()
        self._queues[tenant, worker] = queues
        taken = self._take(tenant, worker, queues, slots, slots)
        grants = [self._grant(Stream("job", tenant, job.id), job, worker) for job in taken]
        return {"grants": grants, "held": 0.0, "lease": GRANT_LEASE}

    def claim_for_pool(
        self, tenant: str, tenants: tuple[str, ...], worker: str, queues: tuple[str, ...], slots: int
    ) -> dict[str, Any]:
        """Grants what is ready now of several tenants, or of all with `*`, in turn by their weights."""
        served = tuple(sorted(self._lanes)) if tenants == ("*",) else tenants
        for each in {tenant, *tenants}:
            self._seen[each, worker] = self._clock.now()
            self._queues[each, worker] = queues
        shares = self._pools.setdefault((tuple(sorted(tenants)), tuple(sorted(queues))), Shares(self.weights))
        taken = shares.take(served, slots, lambda name: self._take(name, worker, queues, 1, slots))
        grants = [self._grant(Stream("job", name, job.id), job, worker) for name, job in taken]
        return {"grants": grants, "held": 0.0, "lease": GRANT_LEASE}

    def withdraw(self, tenant: str, worker: str) -> None:
        """The worker asks for nothing more."""
        self._seen.pop((tenant, worker), None)

    def _take(self, tenant: str, worker: str, queues: tuple[str, ...] | None, slots: int, room: int) -> list[JobState]:
        lanes = self._lanes.get(tenant)
        if lanes is None:
            return []
        taken: list[JobState] = []

        def at_work(name: str) -> bool:
            return any(other == name for _, other in self._at_work(tenant))

        # One by one: each may use up what a circuit lets through on trial.
        while len(taken) < slots and (
            one := lanes.take(queues, 1, self._clock.now(), Claimant(worker, room - len(taken), at_work))
        ):
            taken += one
            if self.circuits is not None:
                self.circuits.started(tenant, one[0].name)
        return taken

    def renew(self, tenant: str, command: contract.Renew) -> dict[str, Any]:
        """The answer to `job.renew`: which of the attempts are not valid any more."""
        self._seen[tenant, command.worker] = self._clock.now()
        for each in command.attempts:
            job = self._log.states.get(Stream("job", tenant, each.job_id))
            if isinstance(job, JobState) and each.details is not None and self.valid(tenant, each.job_id, each.attempt):
                job.heartbeat = {"at": self._clock.now(), "details": each.details}
        lost = [
            {"job_id": each.job_id, "attempt": each.attempt, **self.cancellation(tenant, each.job_id)}
            for each in command.attempts
            if not self.valid(tenant, each.job_id, each.attempt)
        ]
        return {"lease": LEASE, "lost": lost}

    def valid(self, tenant: str, job_id: str, attempt: int) -> bool:
        """Whether the attempt is the one that is running now."""
        job = self._log.states.get(Stream("job", tenant, job_id))
        return isinstance(job, JobState) and job.status == "processing" and job.attempt == attempt

    def cancellation(self, tenant: str, job_id: str) -> dict[str, str | None]:
        """What is to be said to who still runs the job, if it was canceled."""
        job = self._log.states.get(Stream("job", tenant, job_id))
        if not isinstance(job, JobState) or job.status != "cancelled":
            return {}
        return {"status": job.status, "reason": job.cancel_reason}

    def workers(self, tenant: str) -> int:
        """How many workers were seen within one lease."""
        return len(self._at_work(tenant))

    def standing(self, tenant: str, job: JobState) -> Standing | None:
        """Where an unfinished job stands, None for one that has ended."""
        if job.status == "processing":
            return Running(job.attempt, job.worker or "", None)
        if job.status not in ("pending", "delayed"):
            return None
        if parents := self.bindings.open_parents(tenant, job.id):
            return Waiting("dependent", None, parents)
        if job.status == "delayed" and job.run_at is not None and job.run_at > self._clock.now():
            return Waiting("delayed", job.run_at)
        ahead, higher, reason = self._lanes[tenant].ahead(job, self._clock.now())
        if reason is not None:
            return Waiting(reason, None)
        at_work = self._at_work(tenant)
        looking = sum(1 for worker in at_work if job.queue in (self._queues.get(worker) or (job.queue,)))
        return Ready(job.queue, ahead, higher, len(at_work), looking)

    def waiting_time(self, tenant: str, job: JobState) -> float | None:
        """Seconds for which a job that may run has waited, None for one that may not."""
        if self.status(tenant, job) != "pending":
            return None
        return (self._clock.now() - job.moved_at).total_seconds()

    def status(self, tenant: str, job: JobState) -> str:
        """What a job is shown with: one whose time has come or whose parents are done is `pending` like any other."""
        due = job.run_at is None or job.run_at <= self._clock.now()
        return (
            "pending"
            if job.status == "delayed" and due and not self.bindings.open_parents(tenant, job.id)
            else job.status
        )

    def _at_work(self, tenant: str) -> list[tuple[str, str]]:
        oldest = self._clock.now() - timedelta(seconds=LEASE)
        served = (tenant, "*")
        found = [worker for worker, seen in self._seen.items() if worker[0] in served and seen > oldest]
        return list({worker: (whose, worker) for whose, worker in found}.values())

    def counts(self, tenant: str, queue: str) -> tuple[int, Counter[str], int, float | None]:
        """See `Lanes.counts`."""
        return self.lanes(tenant).counts(queue, self._clock.now())

    def next_due(self, tenant: str) -> datetime | None:
        """When the tenant's next delayed job may run."""
        lanes = self._lanes.get(tenant)
        return lanes.next_due() if lanes else None

    def _grant(self, stream: Stream, job: JobState, worker: str) -> dict[str, Any]:
        first = self._log.streams[stream][0].origin
        origin = Origin(first.company, first.correlation_id, job.id, first.traceparent)
        started = contract.JobStarted(attempt=job.attempt + 1, worker=worker)
        self._log.append(stream, [started], origin, self._clock.now())
        told = {"parents": self.bindings.parents(stream.tenant, job)} if job.after else {}
        return told | {
            "job_id": job.id,
            "attempt": job.attempt,
            "tenant": stream.tenant,
            "name": job.name,
            "data": job.data,
            "queue": job.queue,
            "priority": job.priority,
            "attempts": job.attempts,
            "max_attempts": job.max_attempts,
            "timeout": job.timeout,
            "created_at": job.created_at,
            "correlation_id": first.correlation_id,
            "traceparent": first.traceparent,
            "checkpoint": job.checkpoint,
            "key": job.key,
        }
