"""All checkers over one finished phase, and which promise each of them watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.harness import answers, bounds, checkers, deadlines, traces
from tests.faults.harness.checkers import Event
from tests.faults.harness.history import History, Injected
from tests.faults.harness.traces import Trace
from tests.faults.harness.workload import POISON

# Checker -> the promise that a finding of it breaks.
WATCHES = {
    "C1 lost": "P1",
    "C2 doubled": "P2",
    "C3 broken jobs": "P3",
    "C3 run twice": "P3",
    "C3 ran unasked": "P3",
    "C3 completed unrun": "P3",
    "C3 late reports accepted": "P3",
    "C4 disordered log": "P4",
    "C4 consumers": "P4",
    "C5 models unlike a replay": "P5",
    "C5 rebuild differs": "P5",
    "C5 held streams": "P5",
    "C6 unexplained answers": "P1",
    "C6 stale reads": "P5",
    "C9 unresolved": "P2",
    "C10 unfinished": "P7",
    "C10 no recovery": "P7",
    "P7 hung": "P7",
    "P8 grown": "P8",
    "P9 innocents buried": "P9",
    "P9 poison completed": "P9",
    "C11 foreign events": "P10",
}


@dataclass(slots=True)
class Evidence:
    """What a phase leaves to the checkers.

    Attributes:
        runs: attempts whose handlers were called, as (job, attempt).
        rows, reached: the live `jobs` read model, and its position.
        excused: by service, when it was itself the victim.
        noted: findings made on the way, by checker.
    """

    history: History
    log: Sequence[Event]
    runs: Sequence[tuple[str, int]]
    traces: Sequence[Trace]
    rows: Sequence[Mapping[str, Any]]
    reached: int
    excused: Mapping[str, Sequence[Injected]] = field(default_factory=dict)
    noted: Mapping[str, list[str]] = field(default_factory=dict)


def judged(evidence: Evidence) -> dict[str, list[str]]:
    """All findings by checker; empty where every promise was kept."""
    history, log, runs = evidence.history, evidence.log, evidence.runs
    enqueues = [each for each in history.accepted if each.get("name", "job.enqueue") == "job.enqueue"]
    findings = {
        "C1 lost": checkers.lost(enqueues, log),
        "C2 doubled": checkers.doubled(history.accepted, log),
        "C3 broken jobs": checkers.broken_jobs(log),
        "C3 run twice": checkers.run_twice(runs),
        "C3 ran unasked": checkers.ran_unasked(runs, log),
        "C3 completed unrun": checkers.completed_unrun(runs, log),
        "C4 disordered log": checkers.disordered(log),
        "C4 consumers": traces.wrong_traces(evidence.traces, log),
        "C5 models unlike a replay": answers.unlike_a_replay(evidence.rows, log, evidence.reached),
        "C6 unexplained answers": answers.unexplained_answers(history.accepted, log)
        + answers.unexplained_refusals(history.refusals, log),
        "C6 stale reads": answers.stale_reads(history.reads, log),
        "C9 unresolved": answers.unresolved(history.commands, history.doubtful, history.accepted, history.refusals),
        "C10 unfinished": checkers.unfinished(log),
        "P7 hung": deadlines.hung(history.probes, evidence.excused),
        "P8 grown": bounds.grown(history.memory),
        "P9 innocents buried": deadlines.innocents_buried(log, POISON),
        "P9 poison completed": deadlines.poison_completed(log, POISON),
        "C11 foreign events": traces.foreign_events(evidence.traces),
        **evidence.noted,
    }
    return {name: found for name, found in findings.items() if found}
