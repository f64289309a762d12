"""Those of this process who wait for the log to grow, each for the kinds of events that concern it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

# An answer takes about so many turns of the loop from the commit to the socket, some of them to gather
# those of the same moment. Who waits for it comes first.
ANSWER_TURNS = 8
# Somebody who is this far behind comes back whatever the events are: only the newest ones are in memory, and older ones
# would have to be read and decoded again.
MOST_BEHIND = 4_000


@dataclass(slots=True)
class _Wish:
    """What somebody waits for.

    Attributes:
        patient: it comes back soon, although nothing concerns it.
    """

    seen: int
    kinds: Collection[str] | None
    patience: float
    patient: bool = False


class Followers:
    """Wakes whom new events concern; the others scan them later, many at a time.

    A flush wakes ten followers otherwise, most of which find nothing, while somebody waits for what comes of it.
    """

    def __init__(self) -> None:
        self.head = 0
        self._of_kind: dict[str, int] = {}
        self._of_any_kind = 0
        self._waiting: dict[asyncio.Future[None], _Wish] = {}
        self._waking = False

    def rise(self, position: int, kinds: Collection[str] | None, awaited: bool) -> None:
        """There are events up to `position`; those that are new here are of `kinds`, or nobody knows of which.

        Args:
            awaited: whether somebody waits for an answer, which is to be on its way before anybody is woken.
        """
        self.head = max(self.head, position)
        if kinds is None:
            self._of_any_kind = max(self._of_any_kind, position)
        else:
            for kind in kinds:
                self._of_kind[kind] = max(self._of_kind.get(kind, 0), position)
        if self._waiting and not self._waking:
            self._waking = True
            self._wake_after(ANSWER_TURNS if awaited else 0)

    async def wait(self, seen: int, timeout: float, kinds: Collection[str] | None, patience: float) -> None:
        """Returns once there are events after `seen`, or after `timeout` seconds.

        Args:
            kinds: the kinds of events that are waited for; None for all.
            patience: for so many seconds events of other kinds are not worth coming back.
        """
        wish = _Wish(seen, kinds, patience, patient=self.head > seen)
        if self._concerns(wish):
            return
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(min(timeout, patience) if wish.patient else timeout, _wake, woken)
        self._waiting[woken] = wish
        try:
            await woken
        finally:
            timer.cancel()
            del self._waiting[woken]

    def _concerns(self, wish: _Wish) -> bool:
        if wish.kinds is None:
            return self.head > wish.seen
        if self.head - wish.seen >= MOST_BEHIND:
            return True
        return self._of_any_kind > wish.seen or any(self._of_kind.get(kind, 0) > wish.seen for kind in wish.kinds)

    def _wake_after(self, turns: int) -> None:
        loop = asyncio.get_running_loop()
        if turns:
            loop.call_soon(self._wake_after, turns - 1)
            return
        self._waking = False
        for woken, wish in self._waiting.items():
            if self._concerns(wish):
                _wake(woken)
            elif self.head > wish.seen and not wish.patient:
                wish.patient = True
                loop.call_later(wish.patience, _wake, woken)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
