"""The loops of a process about itself: its clock, the claims that it holds, and its sign of life."""

from __future__ import annotations

import asyncio

from adapters.amqp.bus import AmqpBus
from handlers.persistence import persistently
from infra.composition import Loop
from infra.storage import Storage

CLOCK_SECONDS = 10.0
CLAIM_POLL_SECONDS = 1.0
BEAT_SECONDS = 1.0


def upkeep_loops(storage: Storage, bus: AmqpBus | None) -> list[Loop]:
    """These loops."""

    async def watch_clock() -> None:
        async def look() -> None:
            await asyncio.sleep(CLOCK_SECONDS)
            await storage.clock.look(storage.pool)

        await persistently("clock", look, pause=0)

    async def look_for_work() -> None:
        """Held claims look again each second, so that a lost doorbell costs no more than that."""
        await persistently("claims", storage.queue.look, pause=CLAIM_POLL_SECONDS)

    async def beat() -> None:
        """While no process that workers talk to can say that they reach it, nobody's lease lapses."""

        async def once() -> None:
            if bus is None or bus.healthy:
                await storage.queue.beat()

        await persistently("beat", once, pause=BEAT_SECONDS)

    return [Loop(None, "clock", watch_clock), Loop("api", "claims", look_for_work), Loop("api", "beat", beat)]
