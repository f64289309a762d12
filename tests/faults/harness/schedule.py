"""Which faults come when: drawn from a seed, so that the same seed repeats them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

# How long a fault lasts, in seconds, from least to most; a kill lasts until the server is there again.
LASTS: dict[str, tuple[float, float]] = {
    "worker.kill": (0.0, 0.0),
    "worker.freeze": (1.5, 4.0),
    "service.kill": (0.0, 0.5),
    "service.freeze": (0.5, 6.0),
    "broker.kill": (0.0, 0.5),
    "broker.wipe": (0.0, 0.5),
    "broker.freeze": (0.5, 8.0),
    "broker.close": (0.0, 0.0),
    "postgres.kill": (0.0, 1.0),
    "postgres.immediate": (0.0, 1.0),
    "postgres.backend": (0.0, 0.0),
    "postgres.terminate": (0.0, 0.0),
    "postgres.freeze": (0.5, 9.0),
    "broker.power": (0.0, 0.5),
    "postgres.power": (0.0, 0.5),
    "broker.full": (2.0, 4.0),
    "postgres.full": (2.0, 4.0),
    "clock.step": (0.5, 2.0),
}
NETWORK = ("refuse", "reset", "blackhole", "deaf", "mute", "latency", "slow", "cut")
NETWORK_LASTS = (0.5, 4.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault to come.

    Attributes:
        kind: `<target>.<what>`, `<target>.net.<mode>` or `crash.<point>`.
        pick: chooses among servers of the same sort.
        size: 0 to 1; how far into something (bytes, a step of the clock).
        pause, seconds: before it, and how long it lasts.
    """

    kind: str
    pick: int
    size: float
    pause: float
    seconds: float

    @property
    def target(self) -> str:
        return self.kind.partition(".")[0]


def schedule(
    seed: int, name: str, counts: Mapping[str, int], pause: tuple[float, float], share: float = 1.0
) -> list[Fault]:
    """The faults of one phase in their order.

    Args:
        counts: how many of each kind.
        pause: seconds between two of them, from least to most.
        share: of the time that faults of servers and of the network last otherwise.
    """
    chance = random.Random(f"schedule {seed} {name}")
    kinds = [kind for kind, count in sorted(counts.items()) for _ in range(count)]
    chance.shuffle(kinds)
    return [
        Fault(kind, chance.randrange(10**6), chance.random(), chance.uniform(*pause), _seconds(chance, kind, share))
        for kind in kinds
    ]


def network(target: str, each: int) -> dict[str, int]:
    """So many of every network fault in front of a server."""
    return {f"{target}.net.{mode}": each for mode in NETWORK}


def _seconds(chance: random.Random, kind: str, share: float) -> float:
    # A zombie that is woken before its lease has lapsed is none.
    return chance.uniform(*_lasts(kind)) * (1.0 if kind == "worker.freeze" else share)


def _lasts(kind: str) -> tuple[float, float]:
    if ".net." in kind:
        return NETWORK_LASTS
    if kind.startswith("crash."):
        return (0.0, 0.0)
    return LASTS[kind]
