"""The loops that read the log: projections, reactions, and what sends events to the broker."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from adapters.amqp.bus import AmqpBus
from adapters.amqp.feeder import Feeder
from adapters.cloudevents import outgoing
from adapters.postgres.projector import Projector
from adapters.postgres.subscription_source import PostgresSubscriptionSource
from adapters.tracing import Tracing
from handlers.pipeline import Pipeline
from handlers.reactions import Reaction, Reactor
from handlers.relay import Relay
from infra.composition import Loop, leading
from infra.storage import Storage
from projections.registry import projections


def projector_loops(storage: Storage, tracing: Tracing | None) -> list[Loop]:
    """One for each projection."""
    loops = []
    for projection in projections():
        traced = tracing.projection(projection) if tracing else projection
        projector = Projector(traced, storage.store, storage.readers, storage.doorbell, storage.positions.advanced)
        loops.append(Loop("projector", f"projector:{projection.name}", projector.run))
    return loops


def reaction_loops(storage: Storage, pipeline: Pipeline, reactions: Iterable[Reaction]) -> list[Loop]:
    """One for each reaction."""
    store, readers, doorbell, advanced = storage.store, storage.readers, storage.doorbell, storage.positions.advanced
    return [
        Loop(
            "projector",
            f"reaction:{reaction.name}",
            Reactor(reaction, store, readers, doorbell, pipeline, advanced).run,
        )
        for reaction in reactions
    ]


def relay_loops(storage: Storage, bus: AmqpBus, tracing: Tracing | None) -> list[Loop]:
    """What publishes each event, and what feeds the subscriptions."""
    message_of = partial(outgoing, epoch=storage.epoch)
    publisher = tracing.publisher(bus.publisher) if tracing else bus.publisher
    relay = Relay(storage.store, publisher, storage.readers, storage.doorbell, message_of, storage.positions.advanced)
    source = PostgresSubscriptionSource(storage.pool, storage.store)
    feeder = Feeder(bus.publishing, bus.sender, source, message_of, storage.doorbell)
    return [Loop("relay", "relay", relay.run), Loop("relay", "feeder", leading(storage, "feeder", feeder.run))]
