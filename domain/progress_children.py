"""A progress that follows from its children: what they come to together, and what it records when one has moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from domain.progress_errors import TooManyChildren
from domain.progress_events import ChildReported, Completed, Failed, Resumed
from domain.progress_stages import WHOLE, tidy

if TYPE_CHECKING:
    from domain.progress import Progress

MOST_CHILDREN = 10_000
# Whoever moves one moves all the wholes that it is in.
MOST_WHOLES = 100
# Progress that are parts of each other would tell each other of failing and going on without end.
MOST_TURNS = 100
CHILDREN_FAILED = "ChildrenFailed"
OPEN = {"pending", "processing"}


def hear_child(
    progress: Progress, child_id: str, weight: float, status: str, percent: float, version: int, now: datetime
) -> None:
    """A child stands somewhere else now. Where the number of children is known, their ends end this one too.

    What is heard again, or too late, changes nothing; so does a child of one that does not follow from children.
    A child that has changed its status a hundred times is heard once more, when it is completed.

    Raises:
        NoSuchProgress: the progress was removed.
        TooManyChildren: there are more than anybody could follow.
    """
    progress.guard()
    known = progress.children.get(child_id)
    told = {"weight": weight, "status": status, "progress": percent}
    if progress.rule is None or progress.status in ("completed", "cancelled"):
        return
    if known is not None and (known["version"] >= version or told == {name: known[name] for name in told}):
        return
    if known is not None and known.get("turns", 0) >= MOST_TURNS and status != "completed":
        return
    if known is None and len(progress.children) >= MOST_CHILDREN:
        raise TooManyChildren(MOST_CHILDREN)
    children = {**progress.children, child_id: told}
    ends = _ends(children, progress.rule)
    by_children = (progress.error_detail or {}).get("type") == CHILDREN_FAILED
    if progress.status == "failed" and by_children and ends != "failed":
        progress.move(Resumed, now, status="processing", progress=progress.progress, checkpoint=progress.checkpoint)
    overall = max(progress.progress, share_of(children, progress.rule))
    progress.move(
        ChildReported,
        now,
        status="processing" if progress.status == "pending" and status != "pending" else progress.status,
        progress=overall,
        child_id=child_id,
        child_weight=weight,
        child_status=status,
        child_progress=percent,
        child_version=version,
        rate=progress.rate_at(overall, now),
    )
    if ends == "completed" and progress.status in OPEN:
        progress.move(Completed, now, status="completed", progress=WHOLE, result=None)
    elif ends == "failed" and progress.status in OPEN:
        lost = sum(child["status"] != "completed" for child in children.values())
        detail = {"type": CHILDREN_FAILED, "message": f"{lost} of {len(children)} parts did not complete"}
        progress.move(Failed, now, status="failed", progress=overall, error=detail["message"], error_detail=detail)


def share_of(children: Mapping[str, Mapping[str, Any]], rule: Mapping[str, Any]) -> float:
    """The percent that children come to: their weighted mean, or how many are completed. Those that were announced and
    have not come yet count as one each."""
    coming = max(0, (rule.get("expected") or 0) - len(children))
    if rule["mode"] == "count":
        completed = sum(child["status"] == "completed" for child in children.values())
        return tidy(WHOLE * completed / (len(children) + coming))
    total = sum(child["weight"] for child in children.values()) + coming
    return tidy(sum(child["weight"] * child["progress"] for child in children.values()) / total)


def counts_of(children: Mapping[str, Mapping[str, Any]], rule: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """How many children there are, by how they stand; None where there is no rule for any. A rule that counts jobs has
    their numbers in it."""
    if rule is None:
        return None
    if "total" in rule:
        return dict(rule)
    statuses: Sequence[str] = [child["status"] for child in children.values()]
    ended = {status: statuses.count(status) for status in ("completed", "failed", "cancelled")}
    return {**rule, "total": len(statuses), "open": len(statuses) - sum(ended.values()), **ended}


def _ends(children: Mapping[str, Mapping[str, Any]], rule: Mapping[str, Any]) -> Literal["completed", "failed"] | None:
    """How the children have ended, once as many as were announced have."""
    expected = rule.get("expected")
    if expected is None or len(children) < expected:
        return None
    statuses = {child["status"] for child in children.values()}
    if statuses & OPEN:
        return None
    return "completed" if statuses == {"completed"} else "failed"
