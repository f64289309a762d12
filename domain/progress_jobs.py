"""A progress that follows from the jobs of a batch: what they come to, and what it records when that changes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from domain.progress_children import CHILDREN_FAILED, OPEN
from domain.progress_events import Cancelled, Completed, Failed, JobsCounted, Resumed
from domain.progress_stages import WHOLE, tidy

if TYPE_CHECKING:
    from domain.progress import Progress

MODE = "jobs"
REASON = "its batch was cancelled"


class JobCounts(NamedTuple):
    """The jobs of a batch, by how they stand.

    Attributes:
        is_sealed: whether no other job comes.
        as_of: the place in the log up to which they were counted.
    """

    total: int
    open: int
    completed: int
    failed: int
    cancelled: int
    is_sealed: bool
    is_cancelled: bool
    as_of: int

    def children(self, expected: int | None) -> dict[str, Any]:
        """What is shown of them."""
        names = ("total", "open", "completed", "failed", "cancelled")
        return {"mode": MODE, "expected": expected, **{name: getattr(self, name) for name in names}}


def rule_of_jobs(expected: int | None) -> dict[str, Any]:
    """The rule of a progress that is to follow from a batch which has no job yet."""
    return JobCounts(0, 0, 0, 0, 0, False, False, 0).children(expected)


def count_jobs(progress: Progress, counts: JobCounts, now: datetime) -> None:
    """The jobs stand so. Once no other comes and all have ended, the progress ends too.

    What is counted again, or is older than what was, changes nothing; nor do the jobs of a progress that has been
    completed or cancelled.

    Raises:
        NoSuchProgress: the progress was removed.
    """
    progress.guard()
    rule = progress.rule
    if rule is None or rule["mode"] != MODE or progress.status in ("completed", "cancelled"):
        return
    if counts.as_of < progress.counted_as_of:
        return
    children, ends = counts.children(rule["expected"]), _ends(counts)
    overall = max(progress.progress, share_of_jobs(counts, rule["expected"]))
    by_jobs = (progress.error_detail or {}).get("type") == CHILDREN_FAILED
    if progress.status == "failed" and by_jobs and ends != "failed":
        progress.move(Resumed, now, status="processing", progress=progress.progress, checkpoint=progress.checkpoint)
    if children != rule or overall != progress.progress:
        progress.move(
            JobsCounted,
            now,
            status="processing" if progress.status == "pending" and counts.total else progress.status,
            progress=overall,
            children=children,
            as_of=counts.as_of,
            rate=progress.rate_at(overall, now),
        )
    if progress.status not in OPEN:
        return
    match ends:
        case "completed":
            progress.move(Completed, now, status="completed", progress=WHOLE, result=None)
        case "cancelled":
            progress.move(Cancelled, now, status="cancelled", progress=overall, reason=REASON)
        case "failed":
            lost = counts.total - counts.completed
            message = f"{lost} of {counts.total} jobs did not complete"
            detail = {"type": CHILDREN_FAILED, "message": message}
            progress.move(Failed, now, status="failed", progress=overall, error=message, error_detail=detail)
        case None:
            return


def share_of_jobs(counts: JobCounts, expected: int | None) -> float:
    """The percent of the jobs that are completed; 0 while nobody can say how many there will be."""
    total = max(counts.total, expected or 0)
    if total == 0 or not (counts.is_sealed or expected is not None):
        return 0.0
    # How many were expected is forgotten once it is known how many there are.
    return tidy(WHOLE * counts.completed / (max(counts.total, 1) if counts.is_sealed else total))


def _ends(counts: JobCounts) -> Literal["completed", "failed", "cancelled"] | None:
    if not counts.is_sealed or counts.open:
        return None
    if counts.is_cancelled:
        return "cancelled"
    return "completed" if counts.completed == counts.total else "failed"
