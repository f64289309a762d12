"""The composition root: builds the whole service from settings, and runs the roles that it is given.

What a module consists of is in `infra/modules`, one file each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from adapters.amqp.bus import AmqpBus
from adapters.amqp.samples import AmqpSamples
from adapters.channels.failover import Failover
from adapters.postgres.database import Database
from adapters.postgres.live_tickets import PostgresTickets
from adapters.postgres.mapper import EventMapper
from adapters.postgres.presence import PostgresPresence
from adapters.samples import LocalSamples
from adapters.tracing import Tracing
from domain.channels import Channel
from domain.live import Samples
from domain.progress_samples import Window
from domain.tickets import Tickets
from handlers.aggregates import Aggregates
from handlers.archive import Archiver
from handlers.circuit import CircuitWatch
from handlers.gateway import Gateway
from handlers.live import Hub
from handlers.outcomes import Ended, telling
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.positions import position_of
from handlers.presence import Presence
from handlers.progress_samples import ProgressSamples
from handlers.reactions import Reaction, place_new
from handlers.routes import CommandRoute
from handlers.service import BehindPosition, Service
from infra.channels import build_channels
from infra.composition import ROLES, Base, Loop, Role
from infra.live import live_hub, shared_samples
from infra.modules.circuits import circuit_watch
from infra.modules.registry import build_modules
from infra.notifying import require_notification_settings
from infra.objects import archiver_of, object_store
from infra.opening import opened
from infra.readers import projector_loops, reaction_loops, relay_loops
from infra.settings import Settings
from infra.storage import Storage
from infra.upkeep import upkeep_loops

DRAIN_SECONDS = 1.5
log = structlog.get_logger("service")


@dataclass(slots=True)
class System:
    """The running service: a gateway for the entry points, and the loops of its roles."""

    settings: Settings
    storage: Storage
    gateway: Gateway
    pipeline: Pipeline
    archiver: Archiver | None
    hub: Hub
    presence: Presence
    tickets: Tickets
    samples: Samples
    circuits: CircuitWatch
    channels: Mapping[str, Failover]
    progress_samples: ProgressSamples
    loops: Sequence[Loop]
    drains: Sequence[Callable[[float], Awaitable[None]]] = ()
    bus: AmqpBus | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Starts the loops of the roles; each goes on whatever happens to what it depends on."""
        for loop in self.loops:
            self._tasks.append(asyncio.create_task(persistently(loop.name, loop.run), name=loop.name))

    async def stop(self) -> None:
        if self.bus is not None:
            await self.bus.stop()
        await asyncio.gather(*(drain(DRAIN_SECONDS) for drain in self.drains))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self.channels.values():
            await channel.close()
        await self.progress_samples.record(self.pipeline)
        await self.storage.stop()


async def build(
    settings: Settings,
    dsn: str,
    roles: Sequence[Role] = ROLES,
    *,
    reactions: Sequence[Reaction] = (),
    channels: Sequence[Channel] = (),
    mapper: EventMapper | None = None,
    measured: Callable[[Gateway, frozenset[str]], Gateway] | None = None,
    tracing: Tracing | None = None,
    ended: Callable[[Ended], None] = lambda _: None,
) -> System:
    """Migrates the database and builds the service on it; `start` then runs the roles.

    Args:
        dsn: PostgreSQL, whether a server of its own or the embedded one.
        reactions: process managers besides the built-in ones; the same ones for all processes on one database.
        channels: ways to reach users, besides those that the settings name.
        mapper: how events are stored, for compression and encryption.
        measured: wraps the gateway that the entry points use, given the names it knows.
        ended: told of each attempt that has ended, in the process that recorded it.
        tracing: puts spans around commands, appends, the relay and projections.
    """
    configured = build_channels(settings)
    require_notification_settings(settings)
    mapper = mapper or EventMapper()
    jobs = settings.modules.jobs
    storage = await opened(dsn, mapper, jobs)
    broker = None
    if settings.rabbitmq_url is not None and {"api", "relay"} & set(roles):
        broker = settings.rabbitmq_url.get_secret_value()
    carrier = None if broker is None else AmqpSamples(broker)
    shared = None if settings.rabbitmq_url else shared_samples(Database(dsn), storage)
    samples: Samples = carrier or shared or LocalSamples()

    def counted(attempt: Ended) -> None:
        ended(attempt)
        watch.count(attempt)

    async def wait_for(reader: str, token: str) -> None:
        wanted = position_of(token, storage.epoch, await storage.store.head())
        reached = await storage.positions.reached(reader, wanted)
        if reached < wanted:
            raise BehindPosition(reader, token, f"{storage.epoch}-{reached}")

    aggregates = Aggregates(storage.store)
    storage.queue.observe(aggregates.advance)
    store = tracing.store(storage.store) if tracing else storage.store
    # The modules need the pipeline and it needs their routes, so these are filled in below.
    routes: dict[str, CommandRoute] = {}
    pipeline = Pipeline(routes, store, aggregates, storage.clock, storage.epoch, telling(counted))
    watch = circuit_watch(storage, pipeline, jobs)
    objects = object_store(settings)
    base = Base(
        settings=settings,
        storage=storage,
        mapper=mapper,
        pipeline=pipeline,
        channels={**configured, **{channel.name: channel for channel in channels}},
        objects=objects,
        archiver=archiver_of(storage, objects, pipeline, mapper, jobs.archive.after),
        circuits=watch,
        progress_samples=ProgressSamples(samples, Window(**settings.modules.progress.sampling.model_dump())),
        wait_for=wait_for,
    )
    modules = build_modules(base)
    commands = {name: route for module in modules for name, route in module.commands.items()}
    operations = {name: route for module in modules for name, route in module.operations.items()}
    queries = {name: route for module in modules for name, route in module.queries.items()}
    routes.update(commands)
    for module in modules:
        routes.update(module.internal)

    gateway: Gateway = Service(commands, operations, queries, pipeline, wait_for)
    known = frozenset([*commands, *operations, *queries])
    if measured is not None:
        gateway = measured(gateway, known)
    if tracing is not None:
        gateway = tracing.gateway(gateway, known)
    all_reactions = [*(reaction for module in modules for reaction in module.reactions), *reactions]
    bus = None
    if broker is not None:
        bus = AmqpBus(broker, gateway, settings.amqp_claims(), carrier, events_log=settings.events_log)
    try:
        await place_new(all_reactions, storage.store, storage.readers)
        if bus is not None:
            await bus.start(serving="api" in roles)
    except BaseException:
        await storage.stop()
        raise
    hub = live_hub(storage, gateway, samples)
    presence = Presence(PostgresPresence(storage.pool))
    loops = [
        *upkeep_loops(storage, bus),
        Loop("api", "live", hub.run),
        *([] if shared is None else [Loop(None, "samples between processes", shared.run)]),
        Loop("api", "presence", presence.run),
        *projector_loops(storage, tracing),
        *reaction_loops(storage, pipeline, all_reactions),
        *(relay_loops(storage, bus, tracing) if bus is not None else ()),
        *(loop for module in modules for loop in module.loops),
    ]
    return System(
        settings=settings,
        storage=storage,
        gateway=gateway,
        pipeline=pipeline,
        archiver=base.archiver,
        hub=hub,
        presence=presence,
        tickets=PostgresTickets(storage.pool),
        samples=samples,
        circuits=watch,
        channels=configured,
        progress_samples=base.progress_samples,
        loops=[loop for loop in loops if loop.role is None or loop.role in roles],
        drains=[drain for module in modules for drain in module.drains],
        bus=bus,
    )
