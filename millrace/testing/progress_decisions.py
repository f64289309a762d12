"""What follows from a command to a progress: the events. The rules of the service, but that every update is recorded
which leads any further: time stands still here, and nobody should have to move it to see what was told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from millrace.contracts import progress as contract
from millrace.contracts.wire import Fact
from millrace.testing.progress_state import WHOLE, ProgressState, tidy
from millrace.testing.refusals import Refusal

OPEN = ("pending", "processing")
MOST_TURNS = 100


def create(progress: ProgressState | None, command: contract.CreateProgress, now: datetime) -> list[Fact]:
    options = command.model_dump(exclude={"id"})
    if progress is None or progress.removed:
        return [contract.ProgressCreated(status="pending", progress=0.0, **options)]
    if options != progress.options:
        raise Refusal(
            "already-exists",
            f"there is a progress {progress.id!r} with other options; choose another id, or repeat it with the same",
        )
    return []


def update(progress: ProgressState, command: contract.UpdateProgress, now: datetime) -> list[Fact]:
    _guard(progress)
    names = [stage["name"] for stage in progress.stages]
    if command.stage is not None and command.stage not in names:
        has = f"it has {', '.join(names)}" if names else "it was created without stages"
        raise Refusal("invalid", f"stage: there is no stage {command.stage!r}; {has}")
    if progress.rule is not None:
        raise Refusal("refused", "this progress follows from its children; update those")
    return _moved(progress, command.progress, command.stage, command.seq, now)


def advance(progress: ProgressState, command: contract.AdvanceProgress, now: datetime) -> list[Fact]:
    _open(progress)
    if not progress.stages:
        raise Refusal("refused", "the progress has no stages; create it with `stages`, or update its percent")
    names = [stage["name"] for stage in progress.stages]
    if command.stage is not None and command.stage not in names:
        raise Refusal("invalid", f"stage: there is no stage {command.stage!r}; it has {', '.join(names)}")
    current = progress.index(progress.stage)
    target = current + 1 if command.stage is None else progress.index(command.stage)
    if target <= current:
        raise Refusal("refused", f"stage {command.stage!r} does not come after {progress.stage!r}, the current one")
    if target == len(names):
        return _moved(progress, WHOLE, None, None, now)
    return _moved(progress, 0.0, names[target], None, now)


def complete(progress: ProgressState, command: contract.CompleteProgress, now: datetime) -> list[Fact]:
    if _has(progress, "completed"):
        return []
    return [contract.ProgressCompleted(**kin(progress), status="completed", progress=WHOLE, result=command.result)]


def fail(progress: ProgressState, command: contract.FailProgress, now: datetime) -> list[Fact]:
    if _has(progress, "failed"):
        return []
    return [_failed(progress, progress.progress, command.error, command.error_detail)]


def cancel(progress: ProgressState, command: contract.CancelProgress, now: datetime) -> list[Fact]:
    if _has(progress, "cancelled"):
        return []
    return [
        contract.ProgressCancelled(
            **kin(progress), status="cancelled", progress=progress.progress, reason=command.reason
        )
    ]


def resume(progress: ProgressState, command: contract.ResumeProgress, now: datetime) -> list[Fact]:
    _guard(progress)
    if progress.status == "completed":
        raise _ended(progress)
    if progress.status in OPEN and not (command.new_attempt and progress.status == "processing"):
        return []
    return [resumed(progress)]


def checkpoint(progress: ProgressState, command: contract.CheckpointProgress, now: datetime) -> list[Fact]:
    _open(progress)
    same = command.checkpoint == progress.checkpoint
    return [] if same else [contract.ProgressCheckpointed(checkpoint=command.checkpoint)]


def remove(progress: ProgressState, command: contract.RemoveProgress, now: datetime) -> list[Fact]:
    return [] if progress.removed else [contract.ProgressRemoved(reason=command.reason)]


def stall(progress: ProgressState, now: datetime) -> list[Fact]:
    """Nothing was heard for too long."""
    if progress.removed or progress.status != "processing" or progress.stalled_at or progress.stall_after is None:
        return []
    if (now - progress.updated_at).total_seconds() < progress.stall_after:
        return []
    return [contract.ProgressStalled(after=progress.stall_after, since=progress.updated_at)]


def end_with_job(progress: ProgressState, status: str, reason: str | None) -> list[Fact]:
    """The job that made it has ended."""
    if progress.status not in OPEN:
        return []
    if status == "completed":
        return [contract.ProgressCompleted(**kin(progress), status="completed", progress=WHOLE)]
    if status == "cancelled":
        told = {**kin(progress), "status": "cancelled", "progress": progress.progress}
        return [contract.ProgressCancelled(**told, reason=reason)]
    return [_failed(progress, progress.progress, reason or "its job failed", None)]


def hear_child(progress: ProgressState, child: ProgressState, now: datetime) -> list[Fact]:
    """A child stands somewhere else now."""
    if progress.removed or progress.rule is None or progress.status in ("completed", "cancelled"):
        return []
    told = {"weight": child.weight, "status": child.status, "progress": child.progress}
    known = progress.children.get(child.id)
    if known is not None and told == {name: known[name] for name in told}:
        return []
    if known is not None and known["turns"] >= MOST_TURNS and child.status != "completed":
        return []
    children = {**progress.children, child.id: told}
    ends = _ends(children, progress.rule)
    facts: list[Fact] = []
    status = progress.status
    if status == "failed" and (progress.error_detail or {}).get("type") == "ChildrenFailed" and ends != "failed":
        facts.append(resumed(progress))
        status = "processing"
    overall = max(progress.progress, _share(children, progress.rule))
    facts.append(
        contract.ProgressChildReported(
            **kin(progress), status="processing" if status == "pending" and child.status != "pending" else status,
            progress=overall, child_id=child.id, child_weight=child.weight, child_status=child.status,
            child_progress=child.progress, child_version=child.version, rate=rate_at(progress, overall, now),
        )
    )  # fmt: skip
    if ends == "completed" and status in OPEN:
        facts.append(contract.ProgressCompleted(**kin(progress), status="completed", progress=WHOLE))
    elif ends == "failed" and status in OPEN:
        lost = sum(each["status"] != "completed" for each in children.values())
        error = f"{lost} of {len(children)} parts did not complete"
        detail = {"type": "ChildrenFailed", "message": error}
        facts.append(
            contract.ProgressFailed(
                **kin(progress), status="failed", progress=overall, error=error, error_detail=detail
            )
        )
    return facts


def _moved(progress: ProgressState, percent: float, stage: str | None, seq: int | None, now: datetime) -> list[Fact]:
    if progress.status not in OPEN:
        return []
    overall, target = percent, None
    if progress.stages:
        current = progress.index(progress.stage)
        place = max(current, 0) if stage is None else progress.index(stage)
        if place < current or (place == current and percent <= progress.stages[place]["progress"]):
            return _sign(progress, seq, now)
        target = progress.stages[place]
        done = sum(each["weight"] for each in progress.stages[:place]) * WHOLE + target["weight"] * percent
        overall = max(progress.progress, tidy(done / sum(each["weight"] for each in progress.stages)))
    elif percent <= progress.progress and progress.status != "pending":
        return _sign(progress, seq, now)
    name = None if target is None else target["name"]
    change: dict[str, Any] = {
        **kin(progress), "status": "processing", "progress": overall, "stage": name,
        "stage_progress": None if name is None else percent, "rate": rate_at(progress, overall, now), "seq": seq,
    }  # fmt: skip
    if name != progress.stage:
        return [contract.ProgressStageChanged(**change, before=progress.stage)]
    return [contract.ProgressUpdated(**change)]


def _sign(progress: ProgressState, seq: int | None, now: datetime) -> list[Fact]:
    """A sign of life, where somebody waits for it."""
    silence = (now - progress.updated_at).total_seconds()
    awaited = progress.stall_after is not None and silence >= progress.stall_after / 2
    if progress.stalled_at is None and not awaited:
        return []
    return [
        contract.ProgressUpdated(
            **kin(progress), status="processing", progress=progress.progress, stage=progress.stage,
            stage_progress=progress.stage_progress, rate=rate_at(progress, progress.progress, now), seq=seq,
        )
    ]  # fmt: skip


def rate_at(progress: ProgressState, percent: float, now: datetime) -> float | None:
    """Percent a second since the work began or was resumed."""
    since = progress.resumed_at or progress.started_at
    seconds = (now - since).total_seconds() if since is not None else 0.0
    gained = percent - progress.resumed_from
    return gained / seconds if seconds > 0 and gained > 0 else None


def _ends(children: dict[str, dict[str, Any]], rule: dict[str, Any]) -> str | None:
    expected = rule.get("expected")
    statuses = {child["status"] for child in children.values()}
    if expected is None or len(children) < expected or statuses & {*OPEN}:
        return None
    return "completed" if statuses == {"completed"} else "failed"


def _share(children: dict[str, dict[str, Any]], rule: dict[str, Any]) -> float:
    coming = max(0, (rule.get("expected") or 0) - len(children))
    if rule["mode"] == "count":
        completed = sum(child["status"] == "completed" for child in children.values())
        return tidy(WHOLE * completed / (len(children) + coming))
    total = sum(child["weight"] for child in children.values()) + coming
    return tidy(sum(child["weight"] * child["progress"] for child in children.values()) / total)


def kin(progress: ProgressState) -> dict[str, Any]:
    """What its parent has to know in each event."""
    return {"parent_id": progress.parent_id, "weight": progress.weight}


def _failed(progress: ProgressState, overall: float, error: str, detail: dict[str, Any] | None) -> Fact:
    return contract.ProgressFailed(**kin(progress), status="failed", progress=overall, error=error, error_detail=detail)


def resumed(progress: ProgressState) -> Fact:
    """It goes on where it was."""
    return contract.ProgressResumed(
        **kin(progress), status="processing", progress=progress.progress, checkpoint=progress.checkpoint
    )


def _has(progress: ProgressState, status: str) -> bool:
    """Whether it has ended so before.

    Raises:
        Refusal: it has ended in another way.
    """
    _guard(progress)
    if progress.status == status:
        return True
    _open(progress)
    return False


def _open(progress: ProgressState) -> None:
    _guard(progress)
    if progress.status not in OPEN:
        raise _ended(progress)


def _guard(progress: ProgressState) -> None:
    if progress.removed:
        raise Refusal("not-found", "the progress was removed")


def _ended(progress: ProgressState) -> Refusal:
    hint = "" if progress.status == "completed" else "; resume it first"
    return Refusal("refused", f"the progress has already ended: it is {progress.status}{hint}")
