"""Questions to the log itself: pages of events, one aggregate's history and state, causes and effects."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from adapters.cloudevents import cloud_event
from adapters.postgres.archived_history import ArchivedHistory
from adapters.postgres.event_store import PostgresEventStore
from domain.errors import Refusal
from domain.ports import Doorbell, RecordedEvent, StreamName
from handlers.positions import LogArchived, position_of
from handlers.routes import QueryRoute
from millrace.contracts import log as contract
from millrace.contracts.wire import Context, Token, pattern_expression
from projections.registry import AGGREGATES

WINDOW = 50_000
CAUSES = 2_000


class NoSuchAggregate(Refusal):
    """Raised when a kind is not known, or there is no aggregate of that kind and id in the caller's tenant."""

    code = "not-found"

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"there is no {kind} {id!r}")
        self.kind, self.id = kind, id


class UnreadableTime(Refusal):
    """Raised when `at` is neither a version nor an ISO 8601 time with an offset."""

    code = "invalid"

    def __init__(self, at: str) -> None:
        super().__init__(f"at: {at!r} is neither a version (1, 2, 3 …) nor a time like 2026-01-31T12:00:00Z")
        self.at = at


class LogQueries:
    """Answers `log.read`, `log.history`, `log.state` and `log.why`."""

    def __init__(self, store: PostgresEventStore, doorbell: Doorbell, epoch: str, archived: ArchivedHistory) -> None:
        self._store, self._doorbell, self._epoch, self._archived = store, doorbell, epoch, archived

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "log.read": QueryRoute(contract.ReadLog, self._read),
            "log.history": QueryRoute(contract.GetHistory, self._history),
            "log.state": QueryRoute(contract.GetState, self._state),
            "log.why": QueryRoute(contract.GetCauses, self._why),
        }

    async def _read(self, query: contract.ReadLog, context: Context) -> dict[str, Any]:
        expression = pattern_expression(query.pattern)
        # A subscriber's own progress is no news to it: only who asks for subscriptions by name sees their advances.
        quiet = not query.pattern.startswith("subscription")
        deadline = time.monotonic() + query.wait
        head = await self._store.head()
        position = position_of(query.after, self._epoch, head)
        if not position:
            # The beginning is that of what is whole.
            position = await self._store.archived()
        while True:
            until = min(head, position + WINDOW)
            events, reached = await self._store.read_matching(
                context.tenant, expression, position, until, query.limit, quiet, query.subject
            )
            # Asked afterwards, so that nothing that was archived meanwhile is missing unnoticed.
            if (mark := await self._store.archived()) > position:
                raise LogArchived(position, mark, self._epoch)
            left = deadline - time.monotonic()
            if events or reached < head or left <= 0:
                return {
                    "events": [cloud_event(event, self._epoch) for event in events],
                    "position": str(Token(epoch=self._epoch, position=reached)),
                    "caught_up": reached >= head,
                }
            position = reached
            await self._doorbell.wait(head, min(left, 1.0))
            head = await self._store.head()

    async def _history(self, query: contract.GetHistory, context: Context) -> dict[str, Any]:
        stream = _stream(query.kind, query.id, context)
        if (story := await self._archived.of(stream)) is not None:
            told = [event for event in story.events if event.version > query.after_version][: query.limit]
            return {
                "events": [cloud_event(event, self._epoch) for event in told],
                "archived": story.archived_in._asdict(),
            }
        events = await self._store.history(stream, query.after_version, query.limit)
        if not events and not query.after_version:
            raise NoSuchAggregate(query.kind, query.id)
        return {"events": [cloud_event(event, self._epoch) for event in events]}

    async def _state(self, query: contract.GetState, context: Context) -> dict[str, Any]:
        stream = _stream(query.kind, query.id, context)
        version, until = _moment(query.at)
        events: list[RecordedEvent] = []
        story = await self._archived.of(stream)
        if story is not None:
            events = [
                event
                for event in story.events
                if (version is None or event.version <= version) and (until is None or event.recorded_at <= until)
            ]
        while story is None:
            page = await self._store.history(stream, events[-1].version if events else 0, 1_000, until)
            events.extend(event for event in page if version is None or event.version <= version)
            if len(page) < 1_000 or (version is not None and page[-1].version >= version):
                break
        aggregate = AGGREGATES[query.kind].replayed(event.event for event in events)
        if aggregate is None:
            raise NoSuchAggregate(query.kind, query.id)
        return {"kind": query.kind, "id": query.id, "version": aggregate.version, "state": aggregate.to_wire()}

    async def _why(self, query: contract.GetCauses, context: Context) -> dict[str, Any]:
        own: list[RecordedEvent] = []
        for kind in AGGREGATES:
            stream = StreamName(kind, context.tenant, query.id)
            story = await self._archived.of(stream)
            own.extend(await self._store.history(stream) if story is None else story.events)
        if not own:
            raise NoSuchAggregate("aggregate", query.id)
        correlations = sorted({e.metadata.correlation_id for e in own if e.metadata.correlation_id})
        events = {event.position: event for event in await self._store.related(context.tenant, correlations, CAUSES)}
        events.update({event.position: event for event in own})
        return {"events": [cloud_event(events[position], self._epoch) for position in sorted(events)]}


def _stream(kind: str, id: str, context: Context) -> StreamName:
    if kind not in AGGREGATES:
        raise NoSuchAggregate(kind, id)
    return StreamName(kind, context.tenant, id)


def _moment(at: str | None) -> tuple[int | None, datetime | None]:
    """`at` as a version or as a time."""
    if at is None:
        return None, None
    if at.isascii() and at.isdigit():
        return int(at), None
    try:
        time_ = datetime.fromisoformat(at)
    except ValueError as error:
        raise UnreadableTime(at) from error
    if time_.tzinfo is None:
        raise UnreadableTime(at)
    try:
        return None, time_.astimezone(UTC)
    except OverflowError as error:
        raise UnreadableTime(at) from error
