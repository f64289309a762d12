"""What a known-bad build is: the product, composed by its own root, with one piece swapped for a bad one.

The seams are the composition root's parameters: `measured` wraps the gateway, `tracing` wraps the store, the publisher
and the projections. Nothing in the product knows of any of this.
"""

from __future__ import annotations

from adapters.tracing import Tracing
from domain.ports import EventPublisher, EventStore
from handlers.gateway import Gateway
from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Context, Refused, Reply
from projections.projection import Projection


class Twin(Tracing):
    """The product as it is; each known-bad build overrides one method."""

    def __init__(self) -> None:
        # Without a provider: nothing is traced here, only wrapped.
        pass

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        return gateway

    def store(self, store: EventStore) -> EventStore:
        return store

    def publisher(self, publisher: EventPublisher) -> EventPublisher:
        return publisher

    def projection(self, projection: Projection) -> Projection:
        return projection

    async def prepare(self, system: System) -> None:
        """Called once the system is built, before it starts."""


class Door:
    """A gateway in front of the real one; a bad one overrides `execute` or `query`."""

    def __init__(self, gateway: Gateway) -> None:
        self.inner = gateway

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        return await self.inner.execute(name, body, context)

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        return await self.inner.query(name, body, context, min_position)


def items(body: object, context: Context) -> list[tuple[object, Context]]:
    """The commands of a request, each with its own context, whether it is a batch or not."""
    if not isinstance(body, list):
        return [(body, context)]
    found: list[tuple[object, Context]] = []
    for index, item in enumerate(body):
        named = isinstance(item, dict) and item.keys() == {"id", "body"}
        found.append((item["body"], context.item(index, item["id"])) if named else (item, context.item(index)))
    return found
