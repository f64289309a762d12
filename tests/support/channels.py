"""A delivery channel of the tests: it keeps what it was given, and ends as it was told to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from domain.channels import Delivery, Outcome, Sent


class Recorder:
    """Takes everything, unless other outcomes were laid out for it; those come first, in order.

    Attributes:
        taken: the deliveries that it was given, in order.
        news: set with every delivery.
    """

    def __init__(self, name: str, outcomes: Iterable[Outcome | Exception] = ()) -> None:
        self.name = name
        self.taken: list[Delivery] = []
        self.news = asyncio.Event()
        self._outcomes = deque(outcomes)

    async def send(self, delivery: Delivery) -> Outcome:
        self.taken.append(delivery)
        self.news.set()
        outcome = self._outcomes.popleft() if self._outcomes else Sent(f"test-{self.name}", f"m-{len(self.taken)}")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
