"""A process that writes until it is killed, and says how many events it knows to be stored."""

from __future__ import annotations

import asyncio
import sys

from domain.ports import Appended
from tests.support.stores import append, storing


async def main(dsn: str, stream: str) -> None:
    async with storing(dsn) as storage:
        version = 0
        while True:
            batch = [append(stream, after=version + n) for n in range(5)]
            if all(isinstance(outcome, Appended) for outcome in await storage.store.append(batch)):
                version += 5
                print(version, flush=True)


asyncio.run(main(*sys.argv[1:]))
