"""Presence: which clients are connected to the live feed, in whichever process of the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID


class Connected(NamedTuple):
    """One connection that this process holds."""

    connection: UUID
    tenant: str
    client_id: str


class Present(NamedTuple):
    """A client with at least one connection. `since` is when its oldest one began."""

    client_id: str
    since: datetime


class PresenceTable(Protocol):
    """Connections with leases, by the database clock: those of a process that died are gone when these run out."""

    async def renew(self, connections: Sequence[Connected], seconds: float) -> None:
        """Notes connections as there for `seconds` from now, whether they were known or not."""
        ...

    async def remove(self, connections: Sequence[UUID]) -> None:
        """Forgets connections, and those whose lease has run out."""
        ...

    async def present(self, tenants: Sequence[str], limit: int) -> dict[str, list[Present]]:
        """Who is there, by tenant, in the order of the client ids; at most `limit` for each tenant."""
        ...
