"""The circuit breaker of a name's jobs: it opens when too many attempts fail, and closes when some succeed again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate, Event

KIND = "circuit"
POLICY = ("failures", "rate", "minimum", "window", "pause", "probes", "enabled")


class Configured(Event):
    TOPIC: ClassVar[str] = "circuit.configured"
    name: str
    failures: int | None
    rate: float | None
    minimum: int
    window: float
    pause: float
    probes: int
    enabled: bool

    def apply(self, circuit: Circuit) -> None:
        circuit.name = self.name
        circuit.policy = {name: getattr(self, name) for name in POLICY}


class Opened(Event):
    TOPIC: ClassVar[str] = "circuit.opened"
    reason: str
    failed: int
    attempts: int
    until: datetime

    def apply(self, circuit: Circuit) -> None:
        circuit.state, circuit.reason, circuit.until = "open", self.reason, self.until


class HalfOpened(Event):
    TOPIC: ClassVar[str] = "circuit.half_opened"
    probes: int

    def apply(self, circuit: Circuit) -> None:
        circuit.state, circuit.until = "half_open", None


class Closed(Event):
    TOPIC: ClassVar[str] = "circuit.closed"
    reason: str | None

    def apply(self, circuit: Circuit) -> None:
        circuit.state, circuit.reason, circuit.until = "closed", None, None


class Circuit(Aggregate):
    """The circuit of one name, as the events that changed it.

    Attributes:
        state: `closed` while jobs start, `open` while none does, `half_open` while some do on trial.
        until: when an open one lets the first through.
    """

    KIND: ClassVar[str] = KIND

    name: str
    policy: dict[str, Any]
    until: datetime | None

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.state = "closed"
        self.reason: str | None = None
        self.until = None

    @classmethod
    def create(cls, stream: str, now: datetime, name: str, policy: dict[str, Any]) -> Self:
        return cls.created_by(Configured(stream, 1, now, name, **policy))

    def configure(self, policy: dict[str, Any], now: datetime) -> None:
        """Gives it this policy; the same one changes nothing. One that is switched off closes."""
        if policy != self.policy:
            self.trigger_event(Configured, timestamp=now, name=self.name, **policy)
            if not policy["enabled"]:
                self.close("it was switched off", now)

    def open(self, reason: str, failed: int, attempts: int, now: datetime) -> None:
        """Has no job of the name started for a while. One that is open already stays so for as long as it was to."""
        if self.state != "open" and self.policy["enabled"]:
            until = now + timedelta(seconds=self.policy["pause"])
            self.trigger_event(Opened, timestamp=now, reason=reason, failed=failed, attempts=attempts, until=until)

    def half_open(self, now: datetime) -> None:
        """Lets some jobs through once the pause is over."""
        if self.state == "open" and self.until is not None and self.until <= now:
            self.trigger_event(HalfOpened, timestamp=now, probes=self.policy["probes"])

    def recover(self, now: datetime) -> None:
        """Closes after enough attempts on trial have completed."""
        if self.state == "half_open":
            self.close(None, now)

    def close(self, reason: str | None, now: datetime) -> None:
        """Has jobs started again. Repeating changes nothing."""
        if self.state != "closed":
            self.trigger_event(Closed, timestamp=now, reason=reason)

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name, "state": self.state, "reason": self.reason, "until": self.until, "policy": self.policy
        }  # fmt: skip
