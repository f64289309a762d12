"""What becomes of a new job whose unique key another one has."""

from __future__ import annotations

from typing import assert_never

from domain.errors import DuplicateJob
from domain.job import Job
from handlers.routes import Decided, Moment
from millrace.contracts import job as contract


def resolve(holder: Job | None, holder_id: str, command: contract.Enqueue, at: Moment) -> Decided | None:
    """The answer that needs no new job; or None where the new one takes the key.

    A holder that is to be replaced is cancelled here: the two are stored together or not at all.

    Raises:
        DuplicateJob: the command wants to be refused, or the holder is running and so cannot be replaced.
    """
    if holder is None or holder.ended:
        return None
    assert command.unique is not None
    key = command.unique.key_of(command.name, command.data)
    match command.unique.on_conflict:
        case "reject":
            raise DuplicateJob(key, holder_id)
        case "existing":
            return Decided(
                holder,
                {
                    "job_id": holder_id,
                    "status": holder.status,
                    "created_at": holder.created_on,
                    "run_at": holder.run_at,
                    "existing": True,
                },
            )
        case "replace":
            if not holder.waits:
                raise DuplicateJob(key, holder_id, running=True)
            holder.cancel(f"replaced by {at.id}", at.now)
            return None
        case _:
            assert_never(command.unique.on_conflict)


def lane(command: contract.Enqueue) -> str | None:
    """Jobs of one call that replace each other are decided one after the other."""
    if command.unique is None or command.unique.on_conflict != "replace":
        return None
    return command.unique.key_of(command.name, command.data)
