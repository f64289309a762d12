"""A progress that follows from others: each event of a part is told to the whole that it belongs to, and so on up."""

from __future__ import annotations

from collections.abc import Sequence

from domain.ports import RecordedEvent
from domain.progress import KIND, Progress
from domain.progress_children import hear_child
from domain.progress_events import Moved
from handlers.reactions import Reaction
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts.wire import Identifier, Message

REACTION = "progress"
COMMAND = "progress.hear_child"


class HearChild(Message):
    """`progress.hear_child`, from inside only: a part stands somewhere else since its event `version`."""

    progress_id: Identifier
    child_id: Identifier
    weight: float
    status: str
    progress: float
    version: int


def hear(progress: Progress, command: HearChild, at: Moment) -> Decided:
    hear_child(progress, command.child_id, command.weight, command.status, command.progress, command.version, at.now)
    return Decided(progress, {"progress_id": at.id})


def told(recorded: RecordedEvent) -> Sequence[tuple[str, Message]]:
    """What the parent is told of one event."""
    event = recorded.event
    if not isinstance(event, Moved) or event.parent_id is None:
        return ()
    command = HearChild(
        progress_id=event.parent_id,
        child_id=recorded.stream.id,
        weight=event.weight,
        status=event.status,
        progress=event.progress,
        version=recorded.version,
    )
    return ((COMMAND, command),)


def reaction() -> Reaction:
    """Parents of different children may be told beside each other; what one child tells keeps its order."""
    return Reaction(REACTION, told, kinds=frozenset({KIND}), beside=True)


def internal_routes() -> dict[str, CommandRoute]:
    """The command that only the reaction gives; repeating it changes nothing."""
    return {
        COMMAND: CommandRoute(
            HearChild, Progress, hear, lambda command, _: str(command.progress_id), remembered=False, continues=True
        )
    }
