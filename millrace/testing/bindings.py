"""What binds jobs to each other in memory: unique keys, and children that wait for their parents."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from millrace.contracts import job as contract
from millrace.contracts.deadletter import JobRetryUndone
from millrace.contracts.job_result import stored_of
from millrace.contracts.wire import Context
from millrace.testing.batches import Batches
from millrace.testing.clock import VirtualClock
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Origin, Stream
from millrace.testing.refusals import Refusal
from millrace.testing.states import State

KIND = "job"


class Bindings:
    """Decides whether a job may have its key and its parents, and follows the ends of jobs.

    Args:
        recorded: told of a job whose events were recorded here.
        place: told of a child that waits for nobody any more.
    """

    def __init__(
        self,
        log: MemoryLog,
        clock: VirtualClock,
        recorded: Callable[[Stream, State], None],
        place: Callable[[Stream, JobState], None],
    ) -> None:
        self._log, self._clock, self._recorded, self._place = log, clock, recorded, place
        self.batches = Batches(log, clock, recorded)
        self._keys: dict[tuple[str, str], tuple[str, datetime | None]] = {}
        self._children: dict[Stream, dict[Stream, str]] = {}
        self._open: dict[Stream, set[Stream]] = {}

    def enqueue(self, stream: Stream, command: contract.Enqueue, context: Context) -> dict[str, Any] | None:
        """The answer where the job that has the key is it; None where the new one may come.

        Raises:
            Refusal: the key is taken, a parent does not exist, or the batch takes no job.
        """
        parents = [Stream(KIND, stream.tenant, job_id) for job_id in command.after]
        missing = [parent.id for parent in parents if self._is_missing(parent)]
        unique = command.unique
        if unique is not None and (holder := self._holder(stream, unique.key_of(command.name, command.data))):
            held, job = holder
            if unique.on_conflict == "existing":
                answer = {"job_id": job.id, "status": job.status, "created_at": job.created_at, "run_at": job.run_at}
                return answer | {"existing": True}
            if unique.on_conflict == "reject" or not job.waits:
                self._refuse(unique.key_of(command.name, command.data), job)
            if not missing:
                if command.batch is not None:
                    self.batches.check(stream.tenant, command.batch)
                self._cancel(held, f"replaced by {stream.id}", context)
        if missing:
            named = ", ".join(missing[:5])
            detail = f"`after` names jobs that do not exist: {named}; enqueue parents before their children"
            raise Refusal("unknown-parent", detail, job_ids=missing[:100])
        if command.batch is not None:
            self.batches.check(stream.tenant, command.batch)
        return None

    def _is_missing(self, parent: Stream) -> bool:
        job = self._log.states.get(parent)
        return not isinstance(job, JobState) or job.removed

    def revive(self, stream: Stream, job: JobState) -> None:
        """Raises:
        Refusal: another job has the dead letter's key.
        """
        if job.unique is not None and job.unique["until"] == "done" and job.dead_lettered:
            holder = self._holder(stream, job.unique["key"])
            if holder is not None:
                self._refuse(job.unique["key"], holder[1])

    def follow(self, stream: Stream, job: JobState) -> bool:
        """Notes what the job's newest events mean for others; true where it has to wait for its parents itself."""
        newest = self._log.streams[stream][-1].fact
        match newest:
            case contract.JobEnqueued():
                self._take_key(stream, job)
                return self._bind(stream, job)
            case contract.JobRevived() if job.unique is not None and job.unique["until"] == "done":
                self._take_key(stream, job)
            case (
                contract.JobCompleted()
                | contract.JobDeadLettered()
                | contract.JobCancelled()
                | contract.JobRemoved()
                | JobRetryUndone()
            ):
                self._open.pop(stream, None)
                self._ended(stream, job)
        return stream in self._open

    def open_parents(self, tenant: str, job_id: str) -> list[str]:
        """The jobs that a job still waits for."""
        return sorted(parent.id for parent in self._open.get(Stream(KIND, tenant, job_id), ()))

    def parents(self, tenant: str, job: JobState) -> list[dict[str, Any]]:
        """What a child is told about the jobs that it came after."""
        states = [self._log.states[Stream(KIND, tenant, job_id)] for job_id in job.after or ()]
        return [
            {"job_id": each.id, "name": each.name, "status": each.status, **_result_of(each.result)}
            for each in states
            if isinstance(each, JobState)
        ]

    def _holder(self, stream: Stream, key: str) -> tuple[Stream, JobState] | None:
        job_id, expires_at = self._keys.get((stream.tenant, key), ("", None))
        held = Stream(KIND, stream.tenant, job_id)
        job = self._log.states.get(held)
        if not isinstance(job, JobState) or held == stream or job.unique is None or job.ended:
            return None
        started = job.unique["until"] == "started" and job.attempt > 0
        expired = expires_at is not None and expires_at <= self._clock.now()
        return None if started or expired else (held, job)

    def _refuse(self, key: str, holder: JobState) -> None:
        why = "which has not ended" if holder.waits else "which is running and so cannot be replaced"
        raise Refusal("duplicate-job", f"the unique key {key!r} is taken by job {holder.id}, {why}", job_id=holder.id)

    def _take_key(self, stream: Stream, job: JobState) -> None:
        if job.unique is not None:
            ttl = job.unique["ttl"]
            expires_at = None if ttl is None else self._clock.now() + timedelta(seconds=ttl)
            self._keys[stream.tenant, job.unique["key"]] = (stream.id, expires_at)

    def _bind(self, stream: Stream, job: JobState) -> bool:
        doomed = None
        for job_id in job.after or ():
            parent = Stream(KIND, stream.tenant, job_id)
            state = self._log.states[parent]
            assert isinstance(state, JobState)
            policy = job.on_parent_failure or "cancel"
            if state.status == "completed" or (state.ended and policy == "run"):
                continue
            self._open.setdefault(stream, set()).add(parent)
            self._children.setdefault(parent, {})[stream] = policy
            if state.ended and policy == "cancel":
                doomed = parent
        if doomed is not None:
            self._disown(stream, doomed)
        return stream in self._open

    def _ended(self, stream: Stream, job: JobState) -> None:
        for child, policy in list(self._children.get(stream, {}).items()):
            if child not in self._open:
                continue
            if job.status == "completed" or policy == "run":
                self._open[child].discard(stream)
                if not self._open[child]:
                    del self._open[child]
                    state = self._log.states[child]
                    assert isinstance(state, JobState)
                    self._place(child, state)
            elif policy == "cancel":
                self._disown(child, stream)

    def _disown(self, child: Stream, parent: Stream) -> None:
        context = Context(child.tenant, parent.id, correlation_id=self._log.streams[child][0].origin.correlation_id)
        self._cancel(child, f"job {parent.id}, which it was to run after, did not complete", context)

    def _cancel(self, stream: Stream, reason: str, context: Context) -> None:
        origin = Origin.of(context, self._log.streams[stream][0].origin)
        self._recorded(
            stream, self._log.append(stream, [contract.JobCancelled(reason=reason)], origin, self._clock.now())
        )


def _result_of(result: Any) -> dict[str, Any]:
    left_out = stored_of(result) is not None
    return {"result": None if left_out else result, "left_out": left_out}
