"""Circuit breakers on the wire: when jobs of a name pause because too many of their attempts fail, and go on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from millrace.contracts.wire import Fact, Message, Name, Text

CircuitState = Literal["closed", "open", "half_open"]


class CircuitPolicy(Message):
    """When the circuit of a name opens, and how it closes again.

    Attributes:
        failures: attempts that fail within `window` for it to open; None for no such limit.
        rate: share of the attempts within `window`, above 0 to 1, that fail; looked at from `minimum` attempts on.
        window: seconds.
        pause: seconds for which no job of the name starts; then `probes` of them may.
        probes: attempts that have to complete for it to close; one that fails opens it again.
        enabled: false lets jobs of the name start whatever happens.
    """

    failures: Annotated[int, Field(ge=1, le=100_000)] | None = None
    rate: Annotated[float, Field(gt=0, le=1)] | None = None
    minimum: Annotated[int, Field(ge=1, le=100_000)] = 10
    window: Annotated[float, Field(ge=1, le=3_600)] = 60.0
    pause: Annotated[float, Field(ge=2, le=86_400)] = 30.0
    probes: Annotated[int, Field(ge=1, le=1_000)] = 1
    enabled: bool = True

    @model_validator(mode="after")
    def _something_opens_it(self) -> CircuitPolicy:
        if self.enabled and self.failures is None and self.rate is None:
            raise ValueError("give `failures`, `rate` or both: without them the circuit never opens")
        return self

    def opens(self, failed: int, attempts: int) -> str | None:
        """Why the circuit opens after so many attempts within the window, None where it stays closed."""
        if not self.enabled:
            return None
        if self.failures is not None and failed >= self.failures:
            return f"{failed} attempts failed within {self.window:g} s"
        if self.rate is not None and attempts >= self.minimum and failed >= self.rate * attempts:
            return f"{failed} of {attempts} attempts failed within {self.window:g} s"
        return None


class ConfigureCircuit(CircuitPolicy):
    """`circuit.configure`: gives the jobs of a name a circuit breaker, in place of the one that they have."""

    name: Name


class ResetCircuit(Message):
    """`circuit.reset`: closes the circuit of a name by hand; what failed before does not count any more."""

    name: Name
    reason: Text | None = None


class GetCircuit(Message):
    """Query `circuit.get`."""

    name: Name


class ListCircuits(Message):
    """Query `circuit.list`: every name that has a circuit breaker."""


class Circuit(Fact):
    """The circuit breaker of a name.

    Attributes:
        reason: why it has opened.
        until: when it lets jobs through on trial.
        held: jobs of the name that wait for it.
    """

    name: str
    state: CircuitState = "closed"
    reason: str | None = None
    until: datetime | None = None
    held: int = 0
    policy: CircuitPolicy


class CircuitConfigured(Fact):
    """The whole policy as it is from now on."""

    name: str
    failures: int | None = None
    rate: float | None = None
    minimum: int
    window: float
    pause: float
    probes: int
    enabled: bool


class CircuitOpened(Fact):
    """Too many attempts have failed: no job of the name starts until then."""

    reason: str
    failed: int
    attempts: int
    until: datetime


class CircuitHalfOpened(Fact):
    """So many attempts are let through on trial."""

    probes: int


class CircuitClosed(Fact):
    """Jobs of the name start again."""

    reason: str | None = None


COMMANDS: dict[str, type[Message]] = {"circuit.configure": ConfigureCircuit, "circuit.reset": ResetCircuit}
QUERIES: dict[str, type[Message]] = {"circuit.get": GetCircuit, "circuit.list": ListCircuits}
EVENTS: dict[str, type[Fact]] = {
    "circuit.configured": CircuitConfigured,
    "circuit.opened": CircuitOpened,
    "circuit.half_opened": CircuitHalfOpened,
    "circuit.closed": CircuitClosed,
}
