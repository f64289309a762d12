"""The hub of the live feeds, which follows the log and hears the samples, and what carries these without a broker."""

from __future__ import annotations

from typing import Any

from adapters.cloudevents import cloud_event, transient_event
from adapters.postgres.database import Database
from adapters.postgres.samples import PostgresSamples
from domain.live import Samples
from handlers.gateway import Gateway
from handlers.live import Hub, live_event
from handlers.live_topics import LiveEvent
from infra.storage import Storage
from millrace.contracts.wire import Accepted, Context, Refused

PAGE = 500
POLL_SECONDS = 1.0


def live_hub(storage: Storage, gateway: Gateway, samples: Samples) -> Hub:
    """One for all feeds of this process."""

    async def following(position: int) -> list[LiveEvent]:
        await storage.doorbell.wait(position, POLL_SECONDS)
        page = await storage.store.read(position, PAGE)
        return [live_event(recorded, lambda one: cloud_event(one, storage.epoch)) for recorded in page]

    async def read(body: dict[str, Any], context: Context) -> Accepted | Refused:
        return await gateway.query("log.read", body, context)

    return Hub(read, following, samples, transient_event, storage.epoch)


def shared_samples(database: Database, storage: Storage) -> PostgresSamples:
    """Carries samples between the processes that the doorbell hears of."""
    return PostgresSamples(database.connect_follower, lambda: storage.doorbell.alone)
