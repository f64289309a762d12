"""A progress that follows from the jobs of a batch, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from millrace.contracts import progress as contract
from millrace.contracts.wire import Fact
from millrace.testing.progress_decisions import OPEN, kin, rate_at, resumed
from millrace.testing.progress_state import WHOLE, ProgressState, tidy

COUNTS = ("total", "open", "completed", "failed", "cancelled")


def rule_of_jobs(expected: int | None) -> dict[str, Any]:
    """The rule for a batch which has no job yet."""
    return {"mode": "jobs", "expected": expected, **dict.fromkeys(COUNTS, 0)}


def count_jobs(progress: ProgressState, batch: Mapping[str, Any], as_of: int, now: datetime) -> list[Fact]:
    """The jobs of the batch stand so now."""
    rule = progress.rule
    if progress.removed or rule is None or rule["mode"] != "jobs" or progress.status in ("completed", "cancelled"):
        return []
    children = {**rule, **{name: batch[name] for name in COUNTS}}
    ends = _ends(batch)
    overall = max(progress.progress, _share(batch, rule["expected"]))
    facts: list[Fact] = []
    status = progress.status
    if status == "failed" and (progress.error_detail or {}).get("type") == "ChildrenFailed" and ends != "failed":
        facts.append(resumed(progress))
        status = "processing"
    if children != rule or overall != progress.progress:
        status = "processing" if status == "pending" and batch["total"] else status
        facts.append(
            contract.ProgressJobsCounted(
                **kin(progress), status=status, progress=overall, children=children, as_of=as_of,
                rate=rate_at(progress, overall, now),
            )
        )  # fmt: skip
    if status not in OPEN or ends is None:
        return facts
    if ends == "completed":
        facts.append(contract.ProgressCompleted(**kin(progress), status="completed", progress=WHOLE))
    elif ends == "cancelled":
        reason = "its batch was cancelled"
        facts.append(contract.ProgressCancelled(**kin(progress), status="cancelled", progress=overall, reason=reason))
    else:
        error = f"{batch['total'] - batch['completed']} of {batch['total']} jobs did not complete"
        detail = {"type": "ChildrenFailed", "message": error}
        facts.append(
            contract.ProgressFailed(
                **kin(progress), status="failed", progress=overall, error=error, error_detail=detail
            )
        )
    return facts


def _share(batch: Mapping[str, Any], expected: int | None) -> float:
    total = max(batch["total"], expected or 0)
    if total == 0 or not (batch["is_sealed"] or expected is not None):
        return 0.0
    return tidy(WHOLE * batch["completed"] / (max(batch["total"], 1) if batch["is_sealed"] else total))


def _ends(batch: Mapping[str, Any]) -> str | None:
    if not batch["is_sealed"] or batch["open"]:
        return None
    if batch["is_cancelled"]:
        return "cancelled"
    return "completed" if batch["completed"] == batch["total"] else "failed"
