"""Judges a finished run from the client's history, the log and the handlers' lines. Pure; each returns findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.faults.harness.history import Accepted

Event = Mapping[str, Any]
TERMINAL = frozenset({"job.completed", "job.dead_lettered", "job.cancelled"})
# Events that only the attempt they name may cause.
OF_ATTEMPT = frozenset({"job.completed", "job.attempt_failed", "job.attempt_lost", "job.attempt_returned"})


def lost(accepted: Iterable[Accepted], log: Sequence[Event]) -> list[str]:
    """C1: what was acknowledged and is not in the log."""
    present = {event["subject"] for event in log if event["eventtype"] == "job.enqueued"}
    return [f"{each['command']} was accepted as {each['job_id']}, which is not in the log"
            for each in accepted if each["job_id"] not in present]  # fmt: skip


def doubled(accepted: Iterable[Accepted], log: Sequence[Event]) -> list[str]:
    """C2: commands with more than one effect, or with different answers."""
    effects = Counter(event["causationid"] for event in log if event["eventtype"] == "job.enqueued")
    found = [f"{command} made {count} jobs" for command, count in effects.items() if count > 1]
    answers: dict[str, set[str]] = defaultdict(set)
    for each in accepted:
        answers[each["command"]].add(each["job_id"])
    return found + [f"{command} was answered with {sorted(ids)}" for command, ids in answers.items() if len(ids) > 1]


def broken_jobs(log: Sequence[Event]) -> list[str]:
    """C3: jobs that ended twice, used more attempts than they have, or were changed by a superseded attempt."""
    streams: dict[str, list[Event]] = defaultdict(list)
    for event in log:
        if event["eventtype"].startswith("job."):
            streams[event["subject"]].append(event)
    return [finding for job_id, events in streams.items() for finding in _broken_job(job_id, events)]


def _broken_job(job_id: str, events: Sequence[Event]) -> Iterable[str]:
    current = used = most = 0
    ended: str | None = None
    for event in events:
        kind, data = event["eventtype"], event["data"]
        attempt = data.get("attempt", current)
        match kind:
            case "job.enqueued":
                most = data["max_attempts"]
            case "job.revived":
                most, ended = data["max_attempts"], None
            case "job.started":
                if attempt != current + 1:
                    yield f"{job_id}: attempt {attempt} was started after attempt {current}"
                current, used = attempt, used + 1
                if used > most:
                    yield f"{job_id}: {used} attempts were started, it has {most}"
            case "job.attempt_returned":
                used -= 1
        if kind in OF_ATTEMPT and attempt != current:
            yield f"{job_id}: {kind} of attempt {attempt} after attempt {current} was started"
        if kind == "job.completed" and _author(data) not in (None, attempt):
            yield f"{job_id}: attempt {attempt} was completed with the result of attempt {_author(data)}"
        if ended is not None and kind not in ("job.removed", "job.revived"):
            yield f"{job_id}: {kind} after {ended}"
        if kind in TERMINAL:
            ended = kind


def _author(completed: Mapping[str, Any]) -> int | None:
    """The attempt that a result says it comes from; the handlers of these tests put it there."""
    result = completed.get("result")
    return result.get("attempt") if isinstance(result, dict) else None


def unfinished(log: Sequence[Event]) -> list[str]:
    """C10: jobs without an end, once everything should have ended."""
    open_ = dict[str, None]()
    for event in log:
        match event["eventtype"]:
            case "job.enqueued" | "job.revived":
                open_[event["subject"]] = None
            case "job.completed" | "job.dead_lettered" | "job.cancelled" | "job.removed":
                open_.pop(event["subject"], None)
    return [f"{job_id} never ended" for job_id in open_]


def disordered(log: Sequence[Event]) -> list[str]:
    """C4: holes in the log or in a stream, as somebody who reads all of it sees them."""
    found, versions = [], Counter[str]()
    last = 0
    for event in log:
        position = int(event["position"].rpartition("-")[2])
        if position != last + 1:
            found.append(f"position {position} follows {last}")
        last = position
        stream = f"{event['source']}:{event['subject']}"
        if event["version"] != versions[stream] + 1:
            found.append(f"{stream}: version {event['version']} follows {versions[stream]}")
        versions[stream] = event["version"]
    return found


def run_twice(runs: Iterable[tuple[str, int]]) -> list[str]:
    """Attempts whose handler was called more than once."""
    return [f"{job} attempt {attempt} ran {n} times" for (job, attempt), n in Counter(runs).items() if n > 1]


def ran_unasked(runs: Iterable[tuple[str, int]], log: Sequence[Event]) -> list[str]:
    """Attempts whose handler was called although the log has no start of them."""
    started = {(event["subject"], event["data"]["attempt"]) for event in log if event["eventtype"] == "job.started"}
    return [
        f"{job} attempt {attempt} ran and was never started" for job, attempt in runs if (job, attempt) not in started
    ]


def completed_unrun(runs: Iterable[tuple[str, int]], log: Sequence[Event]) -> list[str]:
    """Completions of attempts whose handler was never called."""
    ran = set(runs)
    done = [(event["subject"], event["data"]["attempt"]) for event in log if event["eventtype"] == "job.completed"]
    return [f"{job} attempt {attempt} completed and never ran" for job, attempt in done if (job, attempt) not in ran]


def everything_wrong(
    accepted: Sequence[Accepted], log: Sequence[Event], runs: Sequence[tuple[str, int]]
) -> dict[str, list[str]]:
    """All findings, by checker, a few of each; empty when the run kept every promise."""
    findings = {
        "lost": lost(accepted, log),
        "doubled": doubled(accepted, log),
        "broken jobs": broken_jobs(log),
        "unfinished": unfinished(log),
        "disordered": disordered(log),
        "run twice": run_twice(runs),
        "ran unasked": ran_unasked(runs, log),
        "completed unrun": completed_unrun(runs, log),
    }
    return {name: [f"{len(found)} findings", *found[:5]] for name, found in findings.items() if found}
