"""What must be true at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demo.analysis import SourceFacts
from demo.summary import PARSE
from demo.work import CHECKPOINT_DELAY
from millrace.contracts.job import Job, JobStatus
from millrace.contracts.progress import Progress


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about the run, and whether it holds."""

    statement: str
    holds: bool


def outcome_checks(
    jobs: Sequence[Job], expected: Mapping[str, SourceFacts | None], checkpoint_id: str, cleanup_id: str
) -> list[Check]:
    """Compares the jobs as the read models show them with a plain loop over the same files."""
    files = {str(job.data["path"]): job for job in jobs if job.name == PARSE}
    good = {path: facts for path, facts in expected.items() if facts is not None}
    bad = expected.keys() - good.keys()
    by_id = {job.id: job for job in jobs}
    checkpoint, cleanup = by_id.get(checkpoint_id), by_id.get(cleanup_id)
    dead = {path: job for path, job in files.items() if job.dead_lettered}
    return [
        Check(f"each of the {len(expected):,} files has one job", _exactly(jobs, files, expected)),
        Check(
            f"{len(good):,} results are the same as those of a plain loop",
            all(path in files and files[path].result == facts for path, facts in good.items()),
        ),
        Check(f"{len(bad)} files that do not parse are dead letters, and nothing else is", dead.keys() == bad),
        Check(
            "each dead letter used its 3 attempts and kept the error of every one",
            all(job.attempts == 3 and len(job.errors) == 3 for job in dead.values()),
        ),
        Check("the delayed job ran, and not too early", checkpoint is not None and _ran_late_enough(checkpoint)),
        Check(
            "the cancelled job never ran",
            cleanup is not None and cleanup.status is JobStatus.CANCELLED and cleanup.attempts == 0,
        ),
    ]


def batch_check(whole: Progress, expected: Mapping[str, SourceFacts | None]) -> Check:
    """The progress of the batch of all files has counted them as a plain loop does."""
    good = sum(facts is not None for facts in expected.values())
    counts = whole.children
    return Check(
        f"the batch's progress has counted {good:,} completed jobs and {len(expected) - good} failed ones",
        counts is not None
        and (counts.total, counts.completed, counts.failed) == (len(expected), good, len(expected) - good)
        and abs(whole.progress - 100 * good / len(expected)) < 1e-9,
    )


def _exactly(jobs: Sequence[Job], files: Mapping[str, Job], expected: Mapping[str, object]) -> bool:
    return files.keys() == expected.keys() and sum(job.name == PARSE for job in jobs) == len(expected)


def _ran_late_enough(job: Job) -> bool:
    if job.status is not JobStatus.COMPLETED or job.started_at is None:
        return False
    return (job.started_at - job.created_at).total_seconds() >= CHECKPOINT_DELAY
