"""A process that archives whatever was removed, and is killed with -9 at one of the steps."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.postgres.archive import PostgresArchivableLog
from adapters.postgres.mapper import EventMapper
from adapters.storage.local_folder import LocalFolder
from domain.archive import Moving
from domain.ports import StreamName
from domain.storage import StoredObject
from handlers.archive import Archiver
from tests.support.eventually import eventually
from tests.support.systems import system

STEPS = (
    "before the object", "after the object", "after the check", "in the deletion", "after the deletion",
)  # fmt: skip


class Mortal:
    """Dies before or after the call with that name."""

    def __init__(self, step: str) -> None:
        self._step = step

    async def at(self, step: str) -> None:
        if step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalObjects(LocalFolder):
    def __init__(self, root: Path, mortal: Mortal) -> None:
        super().__init__(root)
        self._mortal = mortal

    async def put(self, tenant: str, folder: str, content: bytes) -> StoredObject:
        await self._mortal.at("before the object")
        stored = await super().put(tenant, folder, content)
        await self._mortal.at("after the object")
        return stored

    async def get(self, stored: StoredObject) -> bytes:
        content = await super().get(stored)
        await self._mortal.at("after the check")
        return content


class MortalLog(PostgresArchivableLog):
    def __init__(self, pool: Any, mortal: Mortal) -> None:
        super().__init__(pool, EventMapper())
        self._mortal, self._archived = mortal, False

    async def moving(self, streams: Sequence[StreamName]) -> Moving:
        self._archived = True
        return await super().moving(streams)

    async def forget(self) -> int:
        # The first call finds nothing to do; this one comes after the event.
        if self._archived:
            await self._mortal.at("in the deletion")
        forgotten = await super().forget()
        if self._archived:
            await self._mortal.at("after the deletion")
        return forgotten


async def main(dsn: str, folder: str, step: str, wanted: str) -> None:
    mortal = Mortal(step)
    async with system(dsn, storage=Path(folder)) as running:
        archiver = Archiver(
            MortalLog(running.storage.pool, mortal),
            MortalObjects(Path(folder), mortal),
            running.pipeline,
            running.storage.readers,
            -1.0,
        )

        async def all_gone() -> bool:
            await archiver.sweep()
            left = "SELECT count(*) FROM stored_events WHERE event_type = 'stream.archived'"
            return int(await running.storage.pool.fetchval(left)) >= int(wanted)

        await eventually(all_gone, bool, seconds=60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
