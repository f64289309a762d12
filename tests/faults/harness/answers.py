"""C6 and C9: judges every answer that a client saw against the log. Pure; each function returns findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.harness.checkers import Event
from tests.faults.harness.history import Accepted, Read, Refusal
from tests.faults.harness.traces import position

STATUS = {
    "job.enqueued": "pending", "job.started": "processing", "job.completed": "completed",
    "job.attempt_failed": "pending", "job.attempt_lost": "pending", "job.attempt_returned": "pending",
    "job.retry_scheduled": "delayed", "job.dead_lettered": "failed", "job.revived": "pending",
    "job.cancelled": "cancelled", "job.removed": None,
}  # fmt: skip
EFFECT = {"job.enqueue": "job.enqueued", "job.cancel": "job.cancelled", "job.retry": "job.revived",
          "job.remove": "job.removed"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class State:
    """What a read model must say about a job once it has digested everything up to `position`."""

    position: int
    version: int
    status: str | None
    attempts: int


def states(log: Sequence[Event]) -> dict[str, list[State]]:
    """Every state that each job has been in, oldest first, folded here and not by the product."""
    found: dict[str, list[State]] = defaultdict(list)
    for event in log:
        kind = event["eventtype"]
        if kind not in STATUS:
            continue
        history = found[event["subject"]]
        attempts = history[-1].attempts if history else 0
        attempts += {"job.started": 1, "job.attempt_returned": -1}.get(kind, 0)
        status = "delayed" if kind == "job.enqueued" and event["data"].get("run_at") else STATUS[kind]
        history.append(State(position(event), event["version"], status, attempts))
    return found


def unexplained_answers(accepted: Iterable[Accepted], log: Sequence[Event]) -> list[str]:
    """C6: acceptances whose position is not where the command's own event lies, or whose effect is not there."""
    caused: dict[str, dict[int, str]] = defaultdict(dict)
    for event in log:
        caused[event.get("causationid", "")][position(event)] = event["eventtype"]
    known = states(log)
    found = []
    for answer in accepted:
        token = answer.get("position")
        if token is None:
            continue
        at = int(token.rpartition("-")[2])
        command, name = answer["command"], answer.get("name", "job.enqueue")
        if caused[command].get(at) == EFFECT[name]:
            continue
        # Nothing was left to do: the answer then stands on the state at its position.
        there = [state for state in known.get(answer["job_id"], ()) if state.position <= at]
        if name == "job.cancel" and there and there[-1].status == "cancelled":
            continue
        found.append(f"{name} {command} was answered with position {at}, where the log has nothing of it")
    return found


def unexplained_refusals(refusals: Iterable[Refusal], log: Sequence[Event]) -> list[str]:
    """C6: refusals that no state of the job explains."""
    known = states(log)
    allowed: Mapping[str, set[str | None]] = {
        "job.cancel": {"completed", "failed", None},
        "job.retry": {"pending", "delayed", "processing", "completed", "cancelled", None},
        "job.remove": {"processing", None},
    }
    return [
        f"{each['name']} of {each['job_id']} was refused ({each['code']}), which no state of it explains"
        for each in refusals
        if not any(state.status in allowed.get(each["name"], ()) for state in known.get(each["job_id"], ()))
    ]


def stale_reads(reads: Iterable[Read], log: Sequence[Event]) -> list[str]:
    """C6: reads that show less than the position they asked for, or a state that the job never had."""
    known = states(log)
    return [finding for read in reads if (finding := _stale(read, known.get(read["job_id"], []))) is not None]


def _stale(read: Read, history: Sequence[State]) -> str | None:
    wanted = int(read["min_position"].rpartition("-")[2])
    before = sum(state.position <= wanted for state in history)
    possible = history[max(before - 1, 0) :]
    if any(read["status"] in _shown(state) and state.attempts == read["attempts"] for state in possible):
        return None
    if read["status"] is None and any(state.status is None for state in possible):
        return None
    return f"{read['job_id']} at {wanted} was read as {read['status']} with {read['attempts']} attempts"


def _shown(state: State) -> tuple[str | None, ...]:
    """How a job in that state is shown: one whose time has come is `pending`, without an event that says so."""
    return ("delayed", "pending") if state.status == "delayed" else (state.status,)


def unresolved(commands: Iterable[str], doubtful: Iterable[str], accepted: Iterable[Accepted],
               refusals: Iterable[Refusal]) -> list[str]:  # fmt: skip
    """C9: commands that were never answered however often they were repeated, and doubts that had two outcomes."""
    outcomes: dict[str, set[Any]] = defaultdict(set)
    for answer in accepted:
        # A command that had nothing to do is told where things stood at first, and nothing when it is repeated.
        creates = answer.get("name", "job.enqueue") == "job.enqueue"
        outcomes[answer["command"]].add((answer["job_id"], answer.get("position") if creates else None))
    for refusal in refusals:
        outcomes[refusal["command"]].add(refusal["code"])
    found = [f"{command} never got an answer" for command in commands if command not in outcomes]
    doubts = set(doubtful)
    return found + [
        f"{command}, {'in doubt once' if command in doubts else 'repeated'}, was answered with {sorted(map(str, each))}"
        for command, each in outcomes.items()
        if len(each) > 1
    ]


def unlike_a_replay(rows: Iterable[Mapping[str, Any]], log: Sequence[Event], upto: int) -> list[str]:
    """C5, folded here: rows of the live read model that are not what the log says at `upto`."""
    wanted = {}
    for job_id, history in states(log).items():
        there = [state for state in history if state.position <= upto]
        if there and there[-1].status is not None:
            wanted[job_id] = (there[-1].version, there[-1].status, there[-1].attempts)
    live = {row["id"]: (row["version"], row["status"], row["attempts"]) for row in rows}
    return [
        f"{job_id}: the read model has {live.get(job_id)}, the log says {wanted.get(job_id)}"
        for job_id in sorted(live.keys() | wanted.keys())
        if live.get(job_id) != wanted.get(job_id)
    ]
