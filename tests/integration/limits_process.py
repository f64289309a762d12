"""A process of the service with three workers, which runs jobs of one queue until all have ended.

Every worker keeps its first job until so many have started in all, some of them in each of two processes.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic_core import from_json

from infra.bootstrap import System
from tests.support.running import until
from tests.support.systems import claimed, reported, system

WORKERS = 3
WORK_SECONDS = 0.03
STARTED = "SELECT state FROM stored_events WHERE topic = 'job.started'"
UNFINISHED = """
SELECT (SELECT count(*) FROM ready) + (SELECT count(*) FROM waiting) + (SELECT count(*) FROM leases)
"""


async def work(side: System, worker: str, together: int) -> None:
    first = True

    async def all_there() -> bool:
        workers = [from_json(row["state"])["worker"] for row in await side.storage.pool.fetch(STARTED)]
        return len(workers) >= together and len({worker.partition("-")[0] for worker in workers}) == 2

    while True:
        grants = await claimed(side, slots=1, worker=worker, wait=0.5)
        for grant in grants:
            if first:
                await until(all_there, 60)
            first = False
            await asyncio.sleep(WORK_SECONDS)
            await reported(side, grant)
        if not grants and not await side.storage.pool.fetchval(UNFINISHED):
            return


async def main(dsn: str, name: str, together: str) -> None:
    async with system(dsn, lease=120.0, unconfirmed=120.0) as side:
        await asyncio.gather(*(work(side, f"{name}-{n}", int(together)) for n in range(WORKERS)))


asyncio.run(main(*sys.argv[1:]))
