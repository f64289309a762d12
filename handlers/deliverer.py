"""Sends what is due: one loop looks, each delivery is a task of its own, and the notification's stream says what holds.

1. The index of the read model names what is due. One process at a time looks; each channel has so many places.
2. The notification is read from the store: what was cancelled or has been sent meanwhile is left alone.
3. The channel sends; what came of it is recorded, again and again until it is.
4. The place is free once the index shows what was recorded, so that nothing is found due twice.

A crash between 3 and its record sends again, with the same delivery id. Who stops the loop drains it before, so that
this remains for crashes.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import structlog

from domain.deliveries import DueDeliveries, DueDelivery
from domain.errors import Refusal
from domain.ports import EventStore, StoreOverloaded, StoreUnavailable
from handlers.delivery import Deliveries
from handlers.notification import NotificationPolicy
from handlers.slow_hosts import HostHangs
from millrace.contracts.wire import Token

POLL_SECONDS = 0.2
REST_SECONDS = 30.0
HOST_SECONDS = 5.0
HUNG_BESIDE = 3
SNOOZES = 500
SHOWN_RETRY_SECONDS = 0.2
log = structlog.get_logger("deliverer")


class Place(NamedTuple):
    """What a task works on: nothing else of it is started meanwhile."""

    channel: str
    key: tuple[str, str, str]
    lane: tuple[str, str, str] | None


class Deliverer:
    """The loop.

    Args:
        shown: waits until the index shows the effects of everything up to a position token; raises a `Refusal` where
            that takes too long.
        epoch: names the log, for tokens.
    """

    def __init__(
        self,
        due: DueDeliveries,
        deliveries: Deliveries,
        store: EventStore,
        policy: NotificationPolicy,
        shown: Callable[[str], Awaitable[None]],
        epoch: str,
    ) -> None:
        self._due, self._deliveries, self._store, self._policy = due, deliveries, store, policy
        self._shown, self._epoch = shown, epoch
        self._places: set[Place] = set()
        self._resting: dict[tuple[str, str, str], float] = {}
        self._freed = asyncio.Event()
        self._draining = False

    async def drain(self, seconds: float) -> None:
        """Begins no more deliveries; returns when those under way are recorded, or after so many seconds."""
        self._draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._places:
                    self._freed.clear()
                    await self._freed.wait()

    async def run(self) -> None:
        """Runs until cancelled, while this process leads; ends the deliveries that it has begun with itself."""
        self._places.clear()
        # A predecessor may have recorded what the index does not show yet.
        await self._until_shown(Token.text(self._epoch, await self._store.head()))
        async with asyncio.TaskGroup() as group:
            while True:
                self._freed.clear()
                due_in = await self._due.next_in()
                if due_in is not None and due_in <= 0 and not self._draining:
                    await self._wake()
                    await self._start(group)
                pause = POLL_SECONDS if due_in is None else min(max(due_in, 0.02), POLL_SECONDS)
                try:
                    async with asyncio.timeout(pause):
                        await self._freed.wait()
                except TimeoutError:
                    continue

    async def _wake(self) -> None:
        snoozes = await self._due.snoozes(SNOOZES)
        if snoozes:
            positions = await asyncio.gather(*(self._deliveries.wake(snooze) for snooze in snoozes))
            await self._until_all_shown(positions)

    async def _start(self, group: asyncio.TaskGroup) -> None:
        now = time.monotonic()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        taken = Counter(place.channel for place in self._places)
        keys = {place.key for place in self._places}
        lanes = {place.lane for place in self._places}
        for channel in await self._due.channels():
            # Whoever hangs has no place, within bounds, so that others of the channel are sent.
            hung = min(self._deliveries.hung(channel), HUNG_BESIDE * self._policy.at_once)
            free = self._policy.at_once - taken[channel] + hung
            if free <= 0:
                continue
            for delivery in await self._due.due(channel, 4 * self._policy.at_once + len(self._resting)):
                if self._draining:
                    return
                lane = delivery.lane if _takes_a_lane(delivery) else None
                if delivery.key in keys or delivery.key in self._resting or (lane and lane in lanes):
                    continue
                place = Place(channel, delivery.key, lane)
                self._places.add(place)
                lanes.add(lane)
                group.create_task(self._work(place, delivery))
                free -= 1
                if not free:
                    break

    async def _work(self, place: Place, delivery: DueDelivery) -> None:
        try:
            await self._until_all_shown(await self._deliveries.carry_out(delivery))
        except (StoreUnavailable, StoreOverloaded) as error:
            log.warning("a delivery waits for the store", action="delivery_waits", error=str(error))
            self._resting[place.key] = time.monotonic() + 1.0
        except HostHangs:
            self._resting[place.key] = time.monotonic() + HOST_SECONDS
        except Exception as error:
            # One that cannot be handled must not keep the others from being sent.
            self._resting[place.key] = time.monotonic() + REST_SECONDS
            log.error(
                "a delivery failed inside and is tried again",
                action="delivery_failed",
                notification=delivery.notification_id,
                channel=delivery.channel,
                error=repr(error),
                exc_info=True,
            )
        finally:
            self._places.discard(place)
            self._freed.set()

    async def _until_all_shown(self, positions: list[str | None]) -> None:
        known = [position for position in positions if position is not None]
        if known:
            await self._until_shown(max(known, key=lambda position: Token.parse(position).position))

    async def _until_shown(self, position: str) -> None:
        while True:
            try:
                await self._shown(position)
                return
            except Refusal:
                await asyncio.sleep(SHOWN_RETRY_SECONDS)


def _takes_a_lane(delivery: DueDelivery) -> bool:
    return delivery.status == "deferred" or delivery.throttle_key is not None or delivery.is_digest
