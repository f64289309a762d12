"""The profiles: which phases run, on what, with how many faults of which kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.faults.harness import clock, volume
from tests.faults.harness.crashes import COMMANDS, FEEDER, PROJECTION, RELAY, points
from tests.faults.harness.phase import Phase
from tests.faults.harness.schedule import network
from tests.faults.harness.stack import Plan
from tests.faults.harness.workload import Mix

# Short leases, so that what a dead worker held is tried again within seconds, and yet renewable on a busy machine.
PLAN = Plan(services=2, lease=2.0, unconfirmed=1.0)

# Each boundary belongs to one process, so that the others keep the load up while it starts again.
# Where those that take requests crash, tenants have several workers: one whose claim meets two crashes at the broker's
# door asks again after half a minute only.
SPLIT = replace(PLAN, services=3, roles=("api,timers", "relay", "projector"), taps=True)
SMOKE_DISKS = {"broker.full": 1, "broker.power": 1, "postgres.full": 1, "postgres.power": 1}
# Jobs a second where what counts is how often a boundary is reached, not how much is carried over it.
PACE = 25.0


def left_out() -> list[str]:
    """Why some kinds of faults cannot be injected on this machine, for people."""
    return [reason for reason in (volume.unavailable(), clock.unavailable()) if reason is not None]


def smoke() -> list[Phase]:
    """Every kind of fault once, in at most three minutes on two cores."""
    once = {
        "worker.kill": 4, "worker.freeze": 3, "service.kill": 1, "service.freeze": 1, "broker.kill": 1,
        "broker.freeze": 1, "broker.close": 1, "broker.wipe": 1, "postgres.kill": 1, "postgres.immediate": 1,
        "postgres.backend": 1, "postgres.terminate": 1, "postgres.freeze": 1, **network("broker", 1),
        **network("postgres", 1),
    }  # fmt: skip
    boundaries = points((*RELAY, *PROJECTION, *COMMANDS, *FEEDER), 1)
    split = replace(SPLIT, services=4, workers=2, roles=(*SPLIT.roles, "api,timers"))
    return [
        _possible(Phase("everything once", PLAN, {**once, **SMOKE_DISKS, "clock.step": 2}, Mix(deadly=0.0005),
                        (0.0, 0.1), quick=True)),
        Phase("every boundary once", split, boundaries, pause=(0.0, 0.1)),
    ]  # fmt: skip


def full() -> list[Phase]:
    """Enough of each kind for a bound that says something, in at most 45 minutes on two cores.

    Each phase's limit is about twice what its faults take there, so that one that hangs leaves the others their time.
    """
    workers, many = replace(PLAN, workers=2, services=1, broker=False), replace(PLAN, workers=4, concurrency=10)
    brokers = {"broker.kill": 12, "broker.wipe": 5, "broker.freeze": 10, "broker.close": 10,
               **network("broker", 3)}  # fmt: skip
    postgres = {"postgres.kill": 15, "postgres.immediate": 10, "postgres.backend": 15, "postgres.freeze": 8,
                "postgres.terminate": 8, "postgres.power": 20, **network("postgres", 1)}  # fmt: skip
    phases = [
        Phase(
            "workers are killed", workers, {"worker.kill": 300}, Mix(deadly=0.0005), (0.1, 0.5), jobs=3_000, limit=360.0
        ),
        Phase("zombies", many, {"worker.freeze": 200}, Mix(longest=1.0), (0.1, 0.6), jobs=2_000, limit=360.0),
        Phase("services", PLAN, {"service.kill": 40, "service.freeze": 20}, Mix(), (0.1, 0.5), limit=420.0),
        Phase("the broker", PLAN, brokers, Mix(), (0.1, 0.5), limit=600.0),
        Phase("the broker loses power", PLAN, {"broker.power": 5}, Mix(), (0.5, 3.0), limit=180.0),
        Phase("PostgreSQL", PLAN, postgres, Mix(), (0.1, 0.5), limit=420.0),
        Phase(
            "relay and projection boundaries",
            SPLIT,
            points((*RELAY, *PROJECTION), 100),
            pause=(0.0, 0.0),
            limit=900.0,
            pace=PACE,
        ),
        Phase(
            "command boundaries",
            replace(SPLIT, workers=3, roles=("api,timers", "relay,projector,timers", "api,timers")),
            points((*COMMANDS, *FEEDER), 30),
            # Only what takes a while has its lease renewed.
            Mix(longest=1.0),
            pause=(0.0, 0.0),
            limit=900.0,
            pace=PACE,
        ),
        Phase(
            "disks and clocks",
            PLAN,
            {"broker.full": 3, "postgres.full": 3, "clock.step": 20},
            Mix(delayed=0.2),
            (0.1, 0.5),
            limit=300.0,
        ),
    ]
    return [_possible(phase) for phase in phases]


def soak() -> list[Phase]:
    """The phases of `full`, each with five times as many faults: for a night."""
    return [
        replace(phase, faults={kind: 5 * count for kind, count in phase.faults.items()}, limit=5 * phase.limit)
        for phase in full()
    ]


PROFILES: Mapping[str, Callable[[], list[Phase]]] = {"smoke": smoke, "full": full, "soak": soak}


def _possible(phase: Phase) -> Phase:
    """The phase without what this machine cannot do, and with the volumes and clocks that the rest needs."""
    faults = dict(phase.faults)
    disks = {kind for kind in faults if kind.endswith((".full", ".power"))}
    if volume.unavailable() is not None:
        faults = {kind: count for kind, count in faults.items() if kind not in disks}
    if clock.unavailable() is not None:
        faults.pop("clock.step", None)
    names = {"broker": "rabbitmq", "postgres": "postgres"}
    volumes = frozenset(names[kind.partition(".")[0]] for kind in disks & faults.keys())
    return replace(phase, faults=faults, plan=replace(phase.plan, volumes=volumes, clocks="clock.step" in faults))
