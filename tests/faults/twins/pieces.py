"""Known-bad builds whose relay, projection or event store does something wrong."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from typing import Any

from domain.ports import EventPublisher, Outgoing, PublishFailed, RecordedEvent
from infra.bootstrap import System
from projections.projection import AtOnce, Connection, Projection, Statement
from tests.faults.twins.doors import BACKGROUND
from tests.faults.twins.twin import Twin

DELAY_SECONDS = 0.3
SKIPPED_EACH = 97


class MarksBeforeTheConfirm(Twin):
    """The relay saves its position while its messages are still on their way."""

    def publisher(self, publisher: EventPublisher) -> EventPublisher:
        class Bad:
            async def publish(self, events: Sequence[Outgoing]) -> None:
                task = asyncio.create_task(self._later(events))
                BACKGROUND.add(task)
                task.add_done_callback(BACKGROUND.discard)

            async def _later(self, events: Sequence[Outgoing]) -> None:
                await asyncio.sleep(DELAY_SECONDS)
                try:
                    await publisher.publish(events)
                except PublishFailed:
                    return  # they are gone, which is what is bad about it

        return Bad()


class PublishesOutOfOrder(Twin):
    """The relay publishes each page as it likes."""

    def publisher(self, publisher: EventPublisher) -> EventPublisher:
        class Bad:
            async def publish(self, events: Sequence[Outgoing]) -> None:
                await publisher.publish(random.sample(events, len(events)))

        return Bad()


class Wrapped:
    """A projection that is the real one; a bad one overrides `apply`, and `at_once` where that is bad too."""

    def __init__(self, projection: Projection) -> None:
        self._inner = projection
        self.name, self.views = projection.name, projection.views

    def __getattr__(self, name: str) -> Any:
        if name == "at_once":
            # Pages that the real one writes in one statement would pass the bad method by.
            raise AttributeError(name)
        return getattr(self._inner, name)

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        await self._inner.apply(connection, version, events)


class SavesItsPositionFirst(Twin):
    """A projection writes a page's rows only after the position behind them has been saved."""

    def projection(self, projection: Projection) -> Projection:
        class Bad(Wrapped):
            late: Sequence[RecordedEvent] = ()

            async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
                late, self.late = self.late, events
                await self._inner.apply(connection, version, late)

        return Bad(projection) if projection.name == "jobs" else projection


class SkipsEvents(Twin):
    """A projection overlooks an event now and then, however it writes its rows."""

    def projection(self, projection: Projection) -> Projection:
        class Bad(Wrapped):
            async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
                await self._inner.apply(connection, version, self._kept(events))

            async def at_once(
                self, connection: Connection, version: int, events: Sequence[RecordedEvent]
            ) -> Statement | None:
                assert isinstance(self._inner, AtOnce)
                return await self._inner.at_once(connection, version, self._kept(events))

            def _kept(self, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
                return [event for event in events if event.position % SKIPPED_EACH]

        return Bad(projection) if projection.name == "jobs" else projection


class HasANaiveCursor(Twin):
    """Positions come from a sequence and no lock orders the commits, as in every table with a `bigserial`."""

    async def prepare(self, system: System) -> None:
        pool = system.storage.pool
        source = "SELECT pg_get_functiondef($1::regproc)"
        if "naive" in await pool.fetchval(source, "append_batch"):
            return  # another process of this build, or an earlier life of this one, was here
        await pool.execute("CREATE SEQUENCE naive")
        await pool.execute("SELECT setval('naive', (SELECT head FROM store) + 1)")
        for name in ("append_batch", "serve_claims"):
            await pool.execute(spoilt(await pool.fetchval(source, name)))


def spoilt(good: str) -> str:
    """The function that stores events, with positions from a sequence, no lock, and time to be overtaken in."""
    unlocked = re.sub(r"PERFORM pg_advisory_xact_lock\(\d+\);", "", good)
    counter = r"UPDATE store SET head = head \+ (cardinality\(\w+\)) RETURNING head - \1 INTO base;"
    found = re.search(counter, unlocked)
    assert found is not None, "positions are no longer given in the way that this build knows how to spoil"
    size = found[1]
    numbered = re.sub(
        counter,
        f"base := nextval('naive') - 1; PERFORM setval('naive', base + greatest({size}, 1));"
        " PERFORM pg_sleep(random() * 0.05);",
        unlocked,
    )
    body, end, rest = numbered.rpartition("END")
    return f"{body}UPDATE store SET head = greatest(head, base + {size});\n{end}{rest}"
