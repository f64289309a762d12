"""Answers about circuit breakers."""

from __future__ import annotations

from pydantic import BaseModel

from millrace.contracts.circuit import Circuit, CircuitState


class CircuitReply(BaseModel):
    """Answer to the commands on a circuit breaker."""

    name: str
    state: CircuitState


class CircuitAnswer(BaseModel):
    """Answer to `circuit.get`."""

    circuit: Circuit


class CircuitPage(BaseModel):
    """Answer to `circuit.list`."""

    circuits: list[Circuit]
