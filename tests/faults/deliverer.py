"""A process that sends notifications into a file and is killed in the middle of it: `python -m … DATABASE FILE`."""

from __future__ import annotations

import asyncio
import os
import sys

from domain.channels import Delivery, Outcome, Sent
from infra.bootstrap import build
from infra.settings import Settings


class FileChannel:
    """Adds the line `delivery_id attempt` to a file, in one write; time passes before and after."""

    name = "email"

    def __init__(self, path: str) -> None:
        self._path = path

    async def send(self, delivery: Delivery) -> Outcome:
        await asyncio.sleep(0.01)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{delivery.delivery_id} {delivery.attempt}\n".encode())
        finally:
            os.close(file)
        await asyncio.sleep(0.01)
        return Sent("file")


async def main(database_url: str, path: str) -> None:
    system = await build(Settings(), database_url, roles=("projector", "timers"), channels=[FileChannel(path)])
    system.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
