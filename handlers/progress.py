"""Progress: creating it, moving it on, ending it. Updates are samples: see `handlers/progress_samples.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from domain.progress import Progress
from handlers.progress_samples import ProgressSamples
from handlers.progress_types import ProgressTypes
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts import progress as contract
from millrace.contracts.wire import Context, derived_id


def create(types: ProgressTypes, progress: Progress | None, command: contract.CreateProgress, at: Moment) -> Decided:
    types.check_metadata(command.type, command.metadata)
    options = command.model_dump(exclude={"id"})
    if command.stall_after is None:
        options["stall_after"] = types.silence_of(command.type)
    if progress is None:
        progress = Progress.create(at.stream, at.now, **options)
    else:
        progress.create_again(at.id, at.now, **options)
    return _told(progress, at)


def update(types: ProgressTypes, progress: Progress, command: contract.UpdateProgress, at: Moment) -> Decided:
    reached = progress.reach(command.progress, command.stage)
    types.check_stage(progress, reached.stage)
    progress.update(reached, command.seq, at.now)
    return Decided(progress, {"progress": view(at.id, progress, at.now), "outcome": "recorded"})


def advance(types: ProgressTypes, progress: Progress, command: contract.AdvanceProgress, at: Moment) -> Decided:
    types.check_stage(progress, progress.reach_next(command.stage).stage)
    progress.advance(command.stage, at.now)
    return _told(progress, at)


def complete(progress: Progress, command: contract.CompleteProgress, at: Moment) -> Decided:
    progress.complete(command.result, at.now)
    return _told(progress, at)


def fail(progress: Progress, command: contract.FailProgress, at: Moment) -> Decided:
    progress.fail(command.error, command.error_detail, at.now)
    return _told(progress, at)


def cancel(progress: Progress, command: contract.CancelProgress, at: Moment) -> Decided:
    progress.cancel(command.reason, at.now)
    return _told(progress, at)


def resume(progress: Progress, command: contract.ResumeProgress, at: Moment) -> Decided:
    progress.resume(at.now, new_attempt=command.new_attempt)
    return _told(progress, at)


def checkpoint(progress: Progress, command: contract.CheckpointProgress, at: Moment) -> Decided:
    progress.store_checkpoint(command.checkpoint, at.now)
    return _told(progress, at)


def remove(progress: Progress, command: contract.RemoveProgress, at: Moment) -> Decided:
    progress.remove(command.reason, at.now)
    return Decided(progress, {"progress_id": at.id, "success": True})


def view(id: str, progress: Progress, now: datetime) -> dict[str, Any]:
    """The progress as it is read."""
    return {"id": id, "version": progress.version, **contract.shown(progress.to_wire(), now)}


def command_routes(samples: ProgressSamples, types: ProgressTypes) -> dict[str, CommandRoute]:
    """Commands that a caller may give."""

    def route(model: type[Any], decide: Callable[..., Decided]) -> CommandRoute:
        return CommandRoute(model, Progress, decide, _named, continues=True)

    return {
        "progress.create": CommandRoute(
            contract.CreateProgress, Progress, partial(create, types), _chosen, required=False
        ),
        "progress.update": _update(types, samples.glance),
        "progress.advance": route(contract.AdvanceProgress, partial(advance, types)),
        "progress.complete": route(contract.CompleteProgress, complete),
        "progress.fail": route(contract.FailProgress, fail),
        "progress.cancel": route(contract.CancelProgress, cancel),
        "progress.resume": route(contract.ResumeProgress, resume),
        "progress.checkpoint": route(contract.CheckpointProgress, checkpoint),
        "progress.remove": route(contract.RemoveProgress, remove),
    }


def internal_routes(samples: ProgressSamples, types: ProgressTypes) -> dict[str, CommandRoute]:
    """`progress.record`: the last sample of all, which nothing follows."""
    return {"progress.record": _update(types, samples.glance_at_last)}


def _update(types: ProgressTypes, glance: Callable[..., dict[str, Any] | None]) -> CommandRoute:
    return CommandRoute(
        contract.UpdateProgress,
        Progress,
        partial(update, types),
        _named,
        remembered=False,
        continues=True,
        glance=glance,
    )


def _told(progress: Progress, at: Moment) -> Decided:
    return Decided(progress, {"progress": view(at.id, progress, at.now)})


def _named(command: Any, _: Context) -> str:
    return str(command.progress_id)


def _chosen(command: contract.CreateProgress, context: Context) -> str:
    return command.id or derived_id(context.tenant, context.message_id, context.principal)
