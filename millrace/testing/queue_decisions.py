"""What follows from a command to a queue: the events. The rules of the service, without its store."""

from __future__ import annotations

from datetime import datetime

from millrace.contracts import queue as contract
from millrace.contracts.wire import Fact
from millrace.testing.queue_state import QueueState


def configure(queue: QueueState | None, command: contract.Configure, now: datetime) -> list[Fact]:
    before = queue.settings if queue is not None else contract.QueueConfigured()
    given = {name: getattr(command, name) for name in command.model_fields_set - {"name"}}
    after = contract.QueueConfigured.model_validate({**dict(before), **given})
    after = after.model_copy(
        update={
            "rate": _burst(after.rate),
            "per_name": {name: _limit(limit) for name, limit in after.per_name.items()},
            "per_key": None if after.per_key is None else _limit(after.per_key),
        }
    )
    return _opened(queue, command.name, [] if queue is not None and queue.configured and after == before else [after])


def pause(queue: QueueState | None, command: contract.Pause, now: datetime) -> list[Fact]:
    paused = queue is not None and queue.paused
    return _opened(queue, command.name, [] if paused else [contract.QueuePaused(reason=command.reason)])


def resume(queue: QueueState | None, command: contract.Resume, now: datetime) -> list[Fact]:
    paused = queue is not None and queue.paused
    return _opened(queue, command.name, [contract.QueueResumed()] if paused else [])


def _opened(queue: QueueState | None, name: str, facts: list[Fact]) -> list[Fact]:
    return facts if queue is not None else [contract.QueueOpened(name=name), *facts]


def _limit(limit: contract.Limit) -> contract.Limit:
    return limit.model_copy(update={"rate": _burst(limit.rate)})


def _burst(rate: contract.Rate | None) -> contract.Rate | None:
    return None if rate is None else rate.model_copy(update={"burst": rate.burst or rate.limit})
