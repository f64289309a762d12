"""What the live feed stands on, in memory: the end of a gateway's log, and who is present."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from adapters.cloudevents import transient_event
from adapters.samples import LocalSamples
from domain.live import Samples
from domain.presence import Connected, Present
from domain.tickets import Grant
from handlers.live import Hub
from handlers.live_topics import LiveEvent
from millrace.contracts.wire import Accepted, Context, Refused
from tests.unit.http.memory_gateway import EPOCH, MemoryGateway

POLL_SECONDS = 0.05


def hub_of(gateway: MemoryGateway, samples: Samples | None = None) -> Hub:
    """A hub that follows the gateway's log."""

    async def read(body: dict[str, Any], context: Context) -> Accepted | Refused:
        return await gateway.query("log.read", body, context)

    async def following(position: int) -> list[LiveEvent]:
        async with gateway.changed:
            try:
                await asyncio.wait_for(gateway.changed.wait_for(lambda: len(gateway.events) > position), POLL_SECONDS)
            except TimeoutError:
                return []
        return [LiveEvent.of(cloud) for cloud in gateway.events[position:]]

    return Hub(read, following, samples or LocalSamples(), transient_event, EPOCH)


class MemoryPresence:
    """Rows with leases that never run out."""

    def __init__(self) -> None:
        self._rows: dict[UUID, tuple[Connected, datetime]] = {}

    async def renew(self, connections: Sequence[Connected], seconds: float) -> None:
        for one in connections:
            self._rows.setdefault(one.connection, (one, datetime.now(UTC)))

    async def remove(self, connections: Sequence[UUID]) -> None:
        for one in connections:
            self._rows.pop(one, None)

    async def present(self, tenants: Sequence[str], limit: int) -> dict[str, list[Present]]:
        found: dict[str, dict[str, Present]] = {tenant: {} for tenant in tenants}
        for connected, since in self._rows.values():
            if connected.tenant in found:
                found[connected.tenant].setdefault(connected.client_id, Present(connected.client_id, since))
        return {tenant: [of[name] for name in sorted(of)][:limit] for tenant, of in found.items()}


class MemoryTickets:
    """Tickets that are good once and do not run out."""

    def __init__(self) -> None:
        self._grants: dict[bytes, Grant] = {}

    async def issue(self, digest: bytes, grant: Grant, seconds: float) -> None:
        self._grants[digest] = grant

    async def redeem(self, digest: bytes) -> Grant | None:
        return self._grants.pop(digest, None)
