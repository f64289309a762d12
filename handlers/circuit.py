"""Circuit breakers: commands that a circuit decides, and the watch that counts how attempts end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from domain.circuit import Circuit
from domain.ports import AttemptCount, CircuitBook, CircuitSum
from handlers.outcomes import Ended
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts import circuit as contract
from millrace.contracts.wire import Context, Message, Name
from projections.circuit import circuit_row

WATCH_SECONDS = 1.0
Policies = Mapping[str, contract.CircuitPolicy]


class Judge(Message):
    """`circuit.judge`, from inside only: what has been counted of a name since its circuit last changed."""

    name: Name
    failed: int
    completed: int


class HalfOpen(Message):
    """`circuit.half_open`, from inside only: an open circuit's pause is over."""

    name: Name


def configure(circuit: Circuit | None, command: contract.ConfigureCircuit, at: Moment) -> Decided:
    policy = command.model_dump(exclude={"name"})
    if circuit is None:
        return _told(Circuit.create(at.stream, at.now, command.name, policy))
    circuit.configure(policy, at.now)
    return _told(circuit)


def reset(circuit: Circuit, command: contract.ResetCircuit, at: Moment) -> Decided:
    circuit.close(command.reason or "it was reset", at.now)
    return _told(circuit)


def judge(files: Policies, circuit: Circuit | None, command: Judge, at: Moment) -> Decided:
    """Opens, closes or leaves as it is; `files` has the policies of names that were given none by command."""
    judged = circuit or Circuit.create(at.stream, at.now, command.name, files[command.name].model_dump())
    policy = contract.CircuitPolicy.model_validate(judged.policy)
    attempts = command.failed + command.completed
    if judged.state == "half_open":
        if command.failed:
            judged.open("an attempt on trial failed", command.failed, attempts, at.now)
        elif command.completed >= policy.probes:
            judged.recover(at.now)
    elif judged.state == "closed" and (reason := policy.opens(command.failed, attempts)):
        judged.open(reason, command.failed, attempts, at.now)
    return _told(judged)


def half_open(circuit: Circuit, _: HalfOpen, at: Moment) -> Decided:
    circuit.half_open(at.now)
    return _told(circuit)


def _told(circuit: Circuit) -> Decided:
    return Decided(circuit, {"name": circuit.name, "state": circuit.state})


def _named(command: Any, _: Context) -> str:
    return str(command.name)


def command_routes() -> dict[str, CommandRoute]:
    """Commands that a circuit decides."""
    return {
        "circuit.configure": CommandRoute(
            contract.ConfigureCircuit, Circuit, configure, _named, required=False, work=circuit_row
        ),
        "circuit.reset": CommandRoute(contract.ResetCircuit, Circuit, reset, _named, work=circuit_row),
    }


def internal_routes(files: Policies) -> dict[str, CommandRoute]:
    """Commands that only the watch gives."""
    return {
        "circuit.judge": CommandRoute(
            Judge, Circuit, partial(judge, files), _named, required=False, remembered=False, work=circuit_row
        ),
        "circuit.half_open": CommandRoute(HalfOpen, Circuit, half_open, _named, remembered=False, work=circuit_row),
    }


class CircuitWatch:
    """Counts how attempts of watched names end in this process, adds that to what the others count, and has circuits
    judged by the sum, once a second. A process that is killed takes the counts of a second with it.

    Args:
        files: policies of the configuration file, for every tenant's jobs of the name that were given none by command.
    """

    def __init__(self, book: CircuitBook, pipeline: Pipeline, files: Policies) -> None:
        self._book, self._pipeline, self._files = book, pipeline, files
        self._watched: frozenset[tuple[str, str]] = frozenset()
        self._open: frozenset[tuple[str, str]] = frozenset()
        self._counts: Counter[tuple[str, str, datetime, datetime, bool]] = Counter()
        self._looking = asyncio.Lock()

    def count(self, ended: Ended) -> None:
        """Takes one attempt that has ended."""
        key = ended.tenant, ended.name
        if ended.outcome != "returned" and (key in self._watched or ended.name in self._files):
            started = ended.started_at if key in self._open else _second(ended.started_at)
            at = _second(ended.started_at + timedelta(seconds=ended.ran))
            self._counts[*key, started, at, ended.outcome == "completed"] += 1

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently("circuits", self.look, pause=WATCH_SECONDS)

    async def look(self) -> None:
        """One round; rounds follow each other, so that none goes by what an earlier one has seen."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        counts, self._counts = self._counts, Counter()
        if counts:
            await self._book.add([AttemptCount(*key, number) for key, number in counts.items()])
        circuits = await self._book.circuits()
        self._watched = frozenset((each.tenant, each.name) for each in circuits if each.enabled)
        self._open = frozenset((each.tenant, each.name) for each in circuits if each.state != "closed")
        if not circuits and not self._files:
            return
        windows = {name: policy.window for name, policy in self._files.items() if policy.enabled}
        await asyncio.gather(*(self._judge(each) for each in await self._book.sums(windows)))
        for each in circuits:
            if each.is_due:
                await self._tell("circuit.half_open", each.tenant, HalfOpen(name=each.name))
        await self._book.let_through()

    async def _judge(self, counted: CircuitSum) -> None:
        body = Judge(name=counted.name, failed=counted.failed, completed=counted.completed)
        if counted.state == "half_open" or self._opens(counted):
            await self._tell("circuit.judge", counted.tenant, body)

    def _opens(self, counted: CircuitSum) -> bool:
        given = counted.policy or self._files[counted.name].model_dump()
        policy = contract.CircuitPolicy.model_validate(given)
        return policy.opens(counted.failed, counted.failed + counted.completed) is not None

    async def _tell(self, command: str, tenant: str, body: Message) -> None:
        await self._pipeline.execute_internal(command, body, Context(tenant, command, principal="millrace"))


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)
