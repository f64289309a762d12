"""Progress in memory: its commands and queries, and what follows for parents and by the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from millrace.contracts import progress as contract
from millrace.contracts.batch import CreateBatch
from millrace.contracts.wire import Context, Fact, derived_id
from millrace.testing import progress_decisions as decisions
from millrace.testing.clock import VirtualClock
from millrace.testing.commands import Route
from millrace.testing.log import MemoryLog, Origin, Stream
from millrace.testing.progress_jobs import count_jobs, rule_of_jobs
from millrace.testing.progress_state import ProgressState
from millrace.testing.query import Query, position_before
from millrace.testing.refusals import Refusal

KIND = "progress"
MOST_WHOLES = 100


class MemoryProgress:
    """Everything of the module that the service does."""

    def __init__(self, log: MemoryLog, clock: VirtualClock) -> None:
        self._log, self._clock = log, clock
        self._recorded = False

    def routes(self) -> dict[str, Route]:
        def route(model: type[Any], decide: Callable[..., list[Fact]]) -> Route:
            return Route(model, KIND, _named, decide, self._told, continues=True)

        return {
            "progress.create": Route(
                contract.CreateProgress, KIND, _chosen, decisions.create, self._told, creates=True, admit=self._admit
            ),
            "progress.update": Route(
                contract.UpdateProgress,
                KIND,
                _named,
                self._update,
                lambda id, state: self._told(id, state) | {"outcome": "recorded" if self._recorded else "sampled"},
                remembered=False,
                continues=True,
            ),
            "progress.advance": route(contract.AdvanceProgress, decisions.advance),
            "progress.complete": route(contract.CompleteProgress, decisions.complete),
            "progress.fail": route(contract.FailProgress, decisions.fail),
            "progress.cancel": route(contract.CancelProgress, decisions.cancel),
            "progress.resume": route(contract.ResumeProgress, decisions.resume),
            "progress.checkpoint": route(contract.CheckpointProgress, decisions.checkpoint),
            "progress.remove": Route(
                contract.RemoveProgress,
                KIND,
                _named,
                decisions.remove,
                lambda id, _: {"progress_id": id, "success": True},
                continues=True,
            ),
        }

    def queries(self) -> dict[str, Query]:
        return {
            "progress.get": Query(contract.GetProgress, self._get),
            "progress.list": Query(contract.ListProgress, self._list),
        }

    def recorded(self, stream: Stream, state: ProgressState) -> None:
        """Tells the parent where a child stands, and its parent, and so on."""
        while state.parent_id is not None:
            parent = self._log.states.get(Stream(KIND, stream.tenant, state.parent_id))
            if not isinstance(parent, ProgressState):
                return
            facts = decisions.hear_child(parent, state, self._clock.now())
            if not facts:
                return
            cause = self._log.streams[stream][-1].origin
            stream, state = Stream(KIND, stream.tenant, parent.id), parent
            self._log.append(stream, facts, self._origin(stream, cause.causation_id), self._clock.now())

    def note_stalls(self) -> None:
        """Notes of what nothing was heard for too long by now."""
        for stream, state in list(self._log.states.items()):
            if isinstance(state, ProgressState) and (facts := decisions.stall(state, self._clock.now())):
                self._log.append(stream, facts, self._origin(stream, f"{stream.id}/stall"), self._clock.now())

    def _admit(self, stream: Stream, state: ProgressState | None, command: contract.CreateProgress, _: Context) -> None:
        """Raises:
        Refusal: it would be a part of itself, or of too many others.
        """
        if state is not None and not state.removed:
            return
        line, parent_id = [stream.id], command.parent_id
        while parent_id is not None:
            line.append(parent_id)
            if parent_id == stream.id:
                detail = f"parent_id: it would be a part of itself: {' → '.join(line)}; choose another parent or none"
                raise Refusal("progress-ring", detail, ring=line)
            if len(line) > MOST_WHOLES + 1:
                detail = f"parent_id: a progress lies in {MOST_WHOLES} others at most, one in the other"
                raise Refusal("invalid", f"{detail}; choose one further up")
            parent = self._log.states.get(Stream(KIND, stream.tenant, parent_id))
            parent_id = parent.parent_id if isinstance(parent, ProgressState) and not parent.removed else None

    def track(self, batch: Stream, command: CreateBatch, context: Context) -> None:
        """Makes the progress that a new batch wishes for.

        Raises:
            Refusal: it would be a part of itself, or of too many others.
        """
        wish = command.progress
        if wish is None:
            return
        stream = Stream(KIND, batch.tenant, batch.id)
        self._admit(stream, None, contract.CreateProgress(parent_id=wish.parent_id), context)
        options = wish.model_dump(exclude={"expected"})
        options["metadata"] = {"batch_id": batch.id, "batch": command.name, **wish.metadata}
        fact = contract.ProgressCreated(
            status="pending", progress=0.0, stages=[], children=rule_of_jobs(wish.expected), **options
        )
        state = self._log.append(stream, [fact], Origin.of(context, None), self._clock.now())
        assert isinstance(state, ProgressState)
        self.recorded(stream, state)

    def end_with_job(self, job: Stream, status: str, reason: str | None) -> None:
        """Ends what the job has left open."""
        for stream, state in list(self._log.states.items()):
            if stream.tenant != job.tenant or not isinstance(state, ProgressState) or state.removed:
                continue
            own = stream.id == job.id or stream.id.startswith(f"{job.id}.")
            if not own or state.metadata.get("job_id") != job.id:
                continue
            if facts := decisions.end_with_job(state, status, reason):
                self._log.append(stream, facts, self._origin(stream, job.id), self._clock.now())
                self.recorded(stream, state)

    def count_jobs(self, batch: Stream, counts: Mapping[str, Any]) -> None:
        """Tells the batch's progress, if it has one, where the jobs have got to."""
        stream = Stream(KIND, batch.tenant, batch.id)
        state = self._log.states.get(stream)
        if not isinstance(state, ProgressState):
            return
        if facts := count_jobs(state, counts, self._log.head, self._clock.now()):
            self._log.append(stream, facts, self._origin(stream, batch.id), self._clock.now())
            self.recorded(stream, state)

    def _origin(self, stream: Stream, cause: str | None) -> Origin:
        first = self._log.streams[stream][0].origin
        return Origin(first.company, first.correlation_id, cause, first.traceparent)

    def _update(self, state: ProgressState, command: contract.UpdateProgress, now: datetime) -> list[Fact]:
        facts = decisions.update(state, command, now)
        self._recorded = bool(facts)
        return facts

    def _told(self, id: str, state: ProgressState) -> dict[str, Any]:
        return {"progress": state.view(self._clock.now())}

    def _get(self, tenant: str, query: contract.GetProgress) -> dict[str, Any]:
        state = self._log.states.get(Stream(KIND, tenant, query.progress_id))
        if not isinstance(state, ProgressState) or state.removed:
            raise Refusal("not-found", f"there is no progress {query.progress_id!r}")
        return self._told(query.progress_id, state)

    def _list(self, tenant: str, query: contract.ListProgress) -> dict[str, Any]:
        before = position_before(query.cursor, self._log)
        wanted = {name: getattr(query, name) for name in ("status", "user_id", "type", "parent_id")}
        filters = {name: value for name, value in wanted.items() if value is not None}
        found = [
            state
            for stream, state in self._log.states.items()
            if stream.tenant == tenant
            and isinstance(state, ProgressState)
            and not state.removed
            and state.first_position < before
            and all(getattr(state, name) == value for name, value in filters.items())
            and query.stalled in (None, state.stalled_at is not None)
        ]
        found.sort(key=lambda each: -each.first_position)
        page = found[: query.limit]
        cursor = str(page[-1].first_position) if len(found) > query.limit else None
        return {"progress": [each.view(self._clock.now()) for each in page], "cursor": cursor}


def _named(command: Any, _: Context) -> str:
    return str(command.progress_id)


def _chosen(command: contract.CreateProgress, context: Context) -> str:
    return command.id or derived_id(context.tenant, context.message_id, context.principal)
