"""The inline projection `circuits`: which names may start jobs, for the claims."""

from __future__ import annotations

from pydantic_core import to_json

from domain.circuit import Circuit
from domain.ports import Metadata, Work


def circuit_row(circuit: Circuit, _: str | None, __: Metadata) -> Work:
    """What the claims go by from now on."""
    told = {"state": circuit.state, "reason": circuit.reason, "until": circuit.until, "policy": circuit.policy}
    return Work(place="circuit", name=circuit.name, task=to_json(told).decode())
