"""The queries about the log in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from millrace.contracts import log as log_contract
from millrace.testing.log import MemoryLog, Recorded, Stream
from millrace.testing.query import Query
from millrace.testing.refusals import Refusal
from millrace.testing.states import KINDS, State, new_state


class LogQueries:
    """Answers from the log in memory."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def routes(self) -> dict[str, Query]:
        return {
            "log.read": Query(log_contract.ReadLog, self._read),
            "log.history": Query(log_contract.GetHistory, self._history),
            "log.state": Query(log_contract.GetState, self._state),
            "log.why": Query(log_contract.GetCauses, self._why),
        }

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
