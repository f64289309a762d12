"""Presence: clients of the live feed come and go, and those who watch are told, whichever process holds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal
from uuid import UUID, uuid4

from domain.presence import Connected, PresenceTable, Present
from handlers.persistence import persistently

LEASE_SECONDS = 30.0
RENEW_SECONDS = 10.0
LOOK_SECONDS = 1.0
MOST_PRESENT = 1_000

Change = Literal["join", "leave"]
Hear = Callable[[Change, Present], None]


class Presence:
    """Keeps a row with a lease for each connection of this process, and compares what the table says each second.

    Comparing rows instead of sending messages means that nothing can be missed: whatever was lost, a process that died
    or a database that was away, the next look finds what is true. It costs nothing while nobody watches.
    """

    def __init__(self, table: PresenceTable) -> None:
        self._table = table
        self._own: dict[UUID, Connected] = {}
        self._joined: list[Connected] = []
        self._left: list[UUID] = []
        self._watchers: dict[str, dict[Hear, None]] = {}
        self._known: dict[str, dict[str, Present]] = {}
        self._changed = asyncio.Event()
        self._saving = asyncio.Lock()
        self._renewed_at = 0.0

    def join(self, tenant: str, client_id: str) -> UUID:
        """A client is here with a new connection; returns what `leave` takes."""
        connected = Connected(uuid4(), tenant, client_id)
        self._own[connected.connection] = connected
        self._joined.append(connected)
        self._changed.set()
        return connected.connection

    def leave(self, connection: UUID) -> None:
        """The connection has ended."""
        if self._own.pop(connection, None) is not None:
            self._left.append(connection)
            self._changed.set()

    async def present(self, tenant: str) -> list[Present]:
        """Who is there, this process's newest included; at most 1,000."""
        await self._save()
        return (await self._table.present([tenant], MOST_PRESENT))[tenant]

    async def watch(self, tenant: str, hear: Hear) -> list[Present]:
        """Who is there; from now on `hear` is told of each who comes or goes, until `unwatch`."""
        present = await self.present(tenant)
        self._watchers.setdefault(tenant, {})[hear] = None
        self._known.setdefault(tenant, {one.client_id: one for one in present})
        self._changed.set()
        return present

    def unwatch(self, tenant: str, hear: Hear) -> None:
        watchers = self._watchers.get(tenant, {})
        watchers.pop(hear, None)
        if not watchers:
            self._watchers.pop(tenant, None)
            self._known.pop(tenant, None)

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently("presence", self._keep, pause=LOOK_SECONDS)

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS if self._watchers else RENEW_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self._save()
            await self._renew()
            if self._watchers:
                await self._look()

    async def _save(self) -> None:
        """Writes who has joined and left; when it returns, what was said before it was called is written."""
        async with self._saving:
            joined, self._joined = [one for one in self._joined if one.connection in self._own], []
            left, self._left = self._left, []
            try:
                if joined:
                    await self._table.renew(joined, LEASE_SECONDS)
                if left:
                    await self._table.remove(left)
            except BaseException:
                self._joined, self._left = joined + self._joined, left + self._left
                raise

    async def _renew(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._own and now - self._renewed_at >= RENEW_SECONDS:
            await self._table.renew(list(self._own.values()), LEASE_SECONDS)
            await self._table.remove([])
            self._renewed_at = now

    async def _look(self) -> None:
        for tenant, present in (await self._table.present(list(self._watchers), MOST_PRESENT)).items():
            now, before = {one.client_id: one for one in present}, self._known.get(tenant, {})
            changes: list[tuple[Change, Present]] = [("join", one) for id, one in now.items() if id not in before]
            changes += [("leave", one) for id, one in before.items() if id not in now]
            self._known[tenant] = now
            for hear in list(self._watchers.get(tenant, ())):
                for change, one in changes:
                    hear(change, one)
