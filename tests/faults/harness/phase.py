"""What one phase of a run does, and what it came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults.harness.stack import Plan
from tests.faults.harness.workload import Mix

USUAL = Mix()


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase does.

    Attributes:
        faults: how many of each kind; the order is the seed's.
        pause: seconds between two faults, from least to most.
        jobs: how many jobs at least; the workload goes on as long as the nemesis.
        settle: seconds after the last heal within which every job must have ended.
        limit: seconds after which the nemesis is taken to hang.
        patience: seconds that the consumers get at the end to catch up.
        pace: jobs a second at most; None for as many as are taken.
        quick: network faults and freezes last a third of what they do otherwise.
    """

    name: str
    plan: Plan
    faults: Mapping[str, int]
    mix: Mix = USUAL
    pause: tuple[float, float] = (0.2, 1.0)
    jobs: int = 300
    ahead: int = 400
    settle: float = 60.0
    limit: float = 1_200.0
    quick: bool = False
    patience: float = 30.0
    pace: float | None = None


@dataclass(slots=True)
class Outcome:
    """What a phase came to.

    Attributes:
        settled: seconds from the last heal until every job had ended.
        recoveries: (fault, seconds from its end until a command was answered again), slowest first.
        slowest_answer: seconds that the slowest probe of a running service took.
        late_tried: reports of superseded attempts that were sent; none may be accepted.
        poison: jobs that always fail, by name.
        compared: rebuilds that found the live read model equal.
        doubtful: commands whose outcome was unknown at first.
        repeated: messages that a consumer with at-least-once delivery got more than once.
    """

    phase: str
    seed: int
    findings: dict[str, list[str]]
    faults: Counter[str]
    jobs: int = 0
    events: int = 0
    attempts: int = 0
    seconds: float = 0.0
    settled: float | None = None
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    slowest_answer: float = 0.0
    late_tried: int = 0
    repeated: int = 0
    compared: int = 0
    poison: Counter[str] = field(default_factory=Counter)
    doubtful: int = 0
    folder: str = ""
