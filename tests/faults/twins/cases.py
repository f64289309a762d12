"""For each promise the known-bad builds that must be caught: how each is run, and which checkers may catch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.faults.harness import volume
from tests.faults.harness.phase import USUAL, Phase
from tests.faults.harness.stack import Plan
from tests.faults.harness.workload import Mix

PLAN = Plan(services=1, lease=2.0, unconfirmed=1.0, broker=False, subscriber=False)
BROKER = replace(PLAN, broker=True)
BAD = "tests.faults.twins.serve"
LOSES_WHAT_IT_ACKNOWLEDGED = ("C1 lost", "C6 unexplained answers", "C4 consumers", "C4 disordered log")


@dataclass(frozen=True, slots=True)
class Case:
    """One known-bad build.

    Attributes:
        build: its class; `Twin` where only the surroundings are bad.
        checkers: at least one of them must find something.
        quick: runs in continuous integration, too.
        needs_volume: only where a file system can be mounted.
    """

    name: str
    promise: str
    checkers: Sequence[str]
    phase: Phase
    build: str = "Twin"
    quick: bool = False
    needs_volume: bool = False

    @property
    def impossible(self) -> str | None:
        """Why it cannot be run on this machine, for people."""
        return volume.unavailable() if self.needs_volume else None

    def armed(self) -> Phase:
        """The phase on the bad build."""
        extra = {**self.phase.plan.extra, "FAULTS_TWIN": self.build}
        return replace(self.phase, plan=replace(self.phase.plan, program=BAD, extra=extra))


def _phase(plan: Plan = PLAN, mix: Mix = USUAL, jobs: int = 200, **faults: int) -> Phase:
    kinds = {name.replace("__", "."): count for name, count in faults.items()}
    return Phase("known-bad build", plan, kinds, mix, (0.1, 0.5), jobs=jobs, settle=12.0, limit=60.0, patience=3.0)


CASES: Sequence[Case] = (
    Case("it answers before the commit", "P1", ("C1 lost",), _phase(service__kill=3), "AnswersBeforeTheCommit", True),
    Case("PostgreSQL commits asynchronously", "P1", LOSES_WHAT_IT_ACKNOWLEDGED,
         _phase(replace(PLAN, postgres={"synchronous_commit": "off", "wal_writer_delay": "10s"}), postgres__kill=4)),
    Case("PostgreSQL does not fsync", "P1", (*LOSES_WHAT_IT_ACKNOWLEDGED, "C10 no recovery"),
         _phase(replace(PLAN, postgres={"fsync": "off"}, volumes=frozenset({"postgres"})), postgres__power=3),
         needs_volume=True),
    Case("it forgets the keys of commands", "P2", ("C2 doubled", "C9 unresolved"),
         _phase(mix=Mix(duplicates=0.5)), "ForgetsKeys", True),
    Case("late reports are not fenced off", "P3", ("C3 late reports accepted", "C3 broken jobs", "C3 completed unrun"),
         _phase(replace(PLAN, workers=2), Mix(longest=1.0), worker__kill=6), "HasNoFence", True),
    Case("positions come from a sequence", "P4", ("C4 consumers", "C4 disordered log"),
         _phase(replace(PLAN, services=2), service__kill=1), "HasANaiveCursor"),
    Case("the relay saves its position before the confirm", "P4", ("C4 consumers",),
         _phase(BROKER, service__kill=3), "MarksBeforeTheConfirm"),
    Case("the relay publishes out of order", "P4", ("C4 consumers",), _phase(BROKER), "PublishesOutOfOrder"),
    Case("a projection saves its position before its rows", "P5",
         ("C5 rebuild differs", "C5 models unlike a replay", "C6 stale reads"), _phase(), "SavesItsPositionFirst",
         True),
    Case("a projection overlooks events", "P5", ("C5 rebuild differs", "C5 models unlike a replay"),
         _phase(), "SkipsEvents"),
    Case("reads do not wait for their position", "P5", ("C6 stale reads",),
         _phase(replace(PLAN, services=2, roles=("api,timers", "projector")), Mix(cancels=0, reads=1.0),
                service__freeze=4),
         "ReadsWhatItHas"),
    Case("the broker holds what was accepted", "P6", ("C1 lost",),
         _phase(BROKER, jobs=300, broker__wipe=1), "TrustsTheBroker"),
    Case("a dead database is waited for without end", "P7", ("P7 hung",), _phase(postgres__freeze=5), "WaitsForEver"),
    Case("nobody looks for lapsed leases", "P7", ("C10 unfinished",),
         _phase(replace(PLAN, roles=("api,projector,relay",)), worker__kill=4)),
    Case("it keeps whatever it was sent", "P8", ("P8 grown",), _phase(jobs=400, postgres__freeze=1),
         "KeepsWhatItWasSent"),
    Case("one failure is another's", "P9", ("P9 innocents buried",), _phase(mix=Mix(poison=0.1)), "SpreadsPoison"),
    Case("one tenant reads another's log", "P10", ("C11 foreign events",), _phase(), "MixesTenants"),
)  # fmt: skip
