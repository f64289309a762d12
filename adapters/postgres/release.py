"""Takes a stream back that a read model goes on without, once the cause has been removed."""

from __future__ import annotations

from adapters.postgres.database import Connection
from domain.ports import EventStore, RecordedEvent, StreamName
from projections.projection import Projection

IDENTITY = "SELECT kind, tenant, subject FROM stored_events WHERE originator_id = $1 LIMIT 1"


async def release(connection: Connection, store: EventStore, projection: Projection, stream: str) -> int:
    """Digests the stream's events, in order, from where it was held up to the read model's position.

    All of them or none: an event that still cannot be digested raises and leaves the stream held.

    Returns:
        How many events were digested; 0 where the stream is not held.
    """
    row = await connection.fetchrow(IDENTITY, stream)
    if row is None:
        return 0
    events: list[RecordedEvent] = []
    while page := await store.history(StreamName(*row), events[-1].version if events else 0):
        events.extend(page)
    async with connection.transaction():
        place = await connection.fetchrow(
            "SELECT version, position FROM readers WHERE name = $1 FOR UPDATE", projection.name
        )
        since = await connection.fetchval(
            "DELETE FROM held WHERE reader = $1 AND stream = $2 RETURNING position", projection.name, stream
        )
        if place is None or since is None:
            return 0
        missed = [event for event in events if since <= event.position <= place["position"]]
        projection.forget()
        await projection.apply(connection, place["version"], missed)
    return len(missed)
