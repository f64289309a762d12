"""One circuit breaker in memory, folded from its events, and what follows from commands to it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from millrace.contracts import circuit as contract
from millrace.contracts.wire import Fact, Message, Name


class Judge(Message):
    """What has been counted of a name since its circuit last changed."""

    name: Name
    failed: int
    completed: int


class HalfOpen(Message):
    """An open circuit's pause is over."""

    name: Name


class CircuitState:
    """The circuit of one name.

    Attributes:
        since: when its state changed last.
        trials: what may still start while it is half open.
    """

    def __init__(self, id: str) -> None:
        self.name = id
        self.version = 0
        self.state: contract.CircuitState = "closed"
        self.reason: str | None = None
        self.until: datetime | None = None
        self.since: datetime | None = None
        self.trials = 0
        self.policy = contract.CircuitPolicy(failures=1)

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        match fact:
            case contract.CircuitConfigured():
                self.name, given = fact.name, fact.model_dump(exclude={"name"})
                self.policy = contract.CircuitPolicy.model_validate(given)
            case contract.CircuitOpened():
                self.state, self.reason, self.until, self.since = "open", fact.reason, fact.until, at
            case contract.CircuitHalfOpened():
                self.state, self.until, self.since, self.trials = "half_open", None, at, fact.probes
            case contract.CircuitClosed():
                self.state, self.reason, self.until, self.since = "closed", None, None, at
            case _:
                raise TypeError(f"{fact!r} is no event of a circuit")

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name, "state": self.state, "reason": self.reason, "until": self.until,
            "policy": self.policy.model_dump(),
        }  # fmt: skip


def configure(circuit: CircuitState | None, command: contract.ConfigureCircuit, now: datetime) -> list[Fact]:
    given = command.model_dump(exclude={"name"})
    if circuit is not None and circuit.policy.model_dump() == given:
        return []
    facts: list[Fact] = [contract.CircuitConfigured(name=command.name, **given)]
    if circuit is not None and not command.enabled and circuit.state != "closed":
        facts.append(contract.CircuitClosed(reason="it was switched off"))
    return facts


def reset(circuit: CircuitState, command: contract.ResetCircuit, now: datetime) -> list[Fact]:
    return [] if circuit.state == "closed" else [contract.CircuitClosed(reason=command.reason or "it was reset")]


def judge(circuit: CircuitState, command: Judge, now: datetime) -> list[Fact]:
    attempts = command.failed + command.completed
    reason = None
    if circuit.state == "half_open":
        if not command.failed:
            return [contract.CircuitClosed()] if command.completed >= circuit.policy.probes else []
        reason = "an attempt on trial failed"
    elif circuit.state == "closed":
        reason = circuit.policy.opens(command.failed, attempts)
    if reason is None or not circuit.policy.enabled:
        return []
    until = now + timedelta(seconds=circuit.policy.pause)
    return [contract.CircuitOpened(reason=reason, failed=command.failed, attempts=attempts, until=until)]


def half_open(circuit: CircuitState, _: HalfOpen, now: datetime) -> list[Fact]:
    if circuit.state != "open" or circuit.until is None or circuit.until > now:
        return []
    return [contract.CircuitHalfOpened(probes=circuit.policy.probes)]
