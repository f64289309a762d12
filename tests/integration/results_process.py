"""A worker and its service in one process, which uploads a result and is killed with -9 at one of the steps."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from adapters.postgres.result_parts import PostgresResultParts
from adapters.storage.local_folder import LocalFolder
from domain.storage import StoredObject
from handlers.job_results import operation_routes
from millrace.contracts.job_result import DEFAULT_MAX_BYTES, Upload
from tests.support.results import CONTENT, parts_of, upload_of
from tests.support.systems import claimed, context, system

STEPS = ("before an object", "after an object", "before the report")


class MortalObjects(LocalFolder):
    """Dies before or after it stores the second object."""

    def __init__(self, root: Path, step: str) -> None:
        super().__init__(root)
        self._step, self._stored = step, 0

    async def put(self, tenant: str, folder: str, content: bytes) -> StoredObject:
        self._stored += 1
        if self._stored == 2 and self._step == "before an object":
            os.kill(os.getpid(), signal.SIGKILL)
        stored = await super().put(tenant, folder, content)
        if self._stored == 2 and self._step == "after an object":
            os.kill(os.getpid(), signal.SIGKILL)
        return stored


async def main(dsn: str, folder: str, step: str) -> None:
    async with system(dsn, ["api"], storage=Path(folder), lease=1, unconfirmed=1) as running:
        noted = PostgresResultParts(running.storage.pool)
        objects = MortalObjects(Path(folder), step)
        upload = operation_routes(running.storage.store, objects, noted, DEFAULT_MAX_BYTES)["job.upload"]
        (grant,) = await claimed(running)
        for part in parts_of(CONTENT):
            await upload.perform(Upload.model_validate(upload_of(grant, part)), context())
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
