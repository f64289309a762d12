"""Tickets: what lets a browser into the live feed that must not have an API key."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Grant(NamedTuple):
    """What a connection may see. Without a user and a progress it is whatever the tenant has.

    Attributes:
        principal: who issued it.
        user_id: only what is about this user.
        progress_id: only this progress.
    """

    tenant: str
    principal: str
    user_id: str | None = None
    progress_id: str | None = None

    @property
    def limited(self) -> bool:
        return self.user_id is not None or self.progress_id is not None


class Tickets(Protocol):
    """Tickets are good for one connection and for a short time, by the database clock."""

    async def issue(self, digest: bytes, grant: Grant, seconds: float) -> None:
        """Keeps a ticket; `digest` is the SHA-256 of its text."""
        ...

    async def redeem(self, digest: bytes) -> Grant | None:
        """What the ticket is for, once; None where there is none, any more or at all."""
        ...
