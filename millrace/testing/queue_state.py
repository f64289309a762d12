"""One queue in memory, folded from its events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from millrace.contracts import queue as contract
from millrace.contracts.wire import Fact


class QueueState:
    """A queue's settings, and whether it is paused."""

    def __init__(self, id: str) -> None:
        self.name = id
        self.version = 0
        self.paused = False
        self.configured = False
        self.settings = contract.QueueConfigured()

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        match fact:
            case contract.QueueOpened():
                self.name = fact.name
            case contract.QueueConfigured():
                self.settings, self.configured = fact, True
            case contract.QueuePaused():
                self.paused = True
            case contract.QueueResumed():
                self.paused = False
            case _:
                raise TypeError(f"{fact!r} is no event of a queue")

    def to_wire(self) -> dict[str, Any]:
        settings = self.settings.model_dump() if self.configured else {}
        return {"name": self.name, "paused": self.paused, **settings}
