"""Samples: what was not worth an event, for whoever is looking right now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol


class Sample(NamedTuple):
    """One transient observation: it has no position, nobody can ask for it later, and it may be lost.

    Attributes:
        type: as an event's, such as `progress.update`.
        subject: id of the aggregate that it is about.
        data: what is shown; values that JSON can carry.
        id: of what was observed: whoever sees it twice, or in two processes, sees the same id.
        at: when it was observed.
    """

    tenant: str
    type: str
    subject: str
    data: Mapping[str, Any]
    id: str
    at: datetime

    @property
    def key(self) -> tuple[str, str, str]:
        """Samples with the same key replace each other."""
        return self.tenant, self.type, self.subject


class Samples(Protocol):
    """Carries samples to every process of the service, as long as somebody listens."""

    @property
    def left_out(self) -> int:
        """How many samples this process has not carried on for want of room, since it began."""
        ...

    def emit(self, sample: Sample) -> None:
        """Sends a sample on its way and returns at once. Of those with one key that wait, only the newest is kept;
        where too many subjects wait, the oldest sample goes."""
        ...

    def listen(self, hear: Callable[[Sample], None]) -> Callable[[], None]:
        """Has `hear` called with every sample of every process, until what is returned is called.

        `hear` must return at once; what it raises is logged and harms no other listener.
        """
        ...
