"""What the service is composed of: modules, each with its routes, its reactions to events and its loops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from adapters.postgres.mapper import EventMapper
from domain.channels import Channel
from domain.storage import ObjectStore
from handlers.archive import Archiver
from handlers.circuit import CircuitWatch
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.progress_samples import ProgressSamples
from handlers.reactions import Reaction
from handlers.routes import CommandRoute, OperationRoute, QueryRoute
from infra.settings import Settings
from infra.storage import Storage

Role = Literal["api", "projector", "relay", "timers"]
ROLES: tuple[Role, ...] = ("api", "projector", "relay", "timers")


@dataclass(frozen=True, slots=True)
class Base:
    """What the modules are built on.

    Attributes:
        pipeline: has its routes only once all modules are built; no module may give a command before.
        channels: ways to reach users, by name.
        objects: where archives and large results go; None where nothing is configured.
        wait_for: waits until a reader has scanned a position token; raises `BehindPosition`.
    """

    settings: Settings
    storage: Storage
    mapper: EventMapper
    pipeline: Pipeline
    channels: Mapping[str, Channel]
    objects: ObjectStore | None
    archiver: Archiver | None
    circuits: CircuitWatch
    progress_samples: ProgressSamples
    wait_for: Callable[[str, str], Awaitable[None]]


class Loop(NamedTuple):
    """Something that the service does as long as it runs.

    Attributes:
        role: the processes that run it; None for all.
        run: is run again where it ends or fails.
    """

    role: Role | None
    name: str
    run: Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Module:
    """What one module adds to the service.

    Attributes:
        commands: what a caller may send and one aggregate decides.
        internal: what only the service itself may send.
        operations: what a caller may send and no aggregate decides.
        drains: called before the loops are cancelled, so that what is under way ends, in so many seconds at most.
    """

    commands: Mapping[str, CommandRoute] = field(default_factory=dict)
    internal: Mapping[str, CommandRoute] = field(default_factory=dict)
    operations: Mapping[str, OperationRoute] = field(default_factory=dict)
    queries: Mapping[str, QueryRoute] = field(default_factory=dict)
    reactions: Sequence[Reaction] = ()
    loops: Sequence[Loop] = ()
    drains: Sequence[Callable[[float], Awaitable[None]]] = ()


def leading(storage: Storage, name: str, run: Callable[[], Awaitable[None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    """A loop that runs in one process at a time."""

    async def lead() -> None:
        async with storage.readers.leadership(name):
            await run()

    async def loop() -> None:
        await persistently(name, lead)

    return loop
