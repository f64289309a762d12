"""Figures that no fault belongs to, measured with the rest so that they stand in the same report."""

from __future__ import annotations

from pathlib import Path

from millrace import Millrace
from tests.faults.harness.claim_cost import BLOCKED, block, measured
from tests.faults.harness.folders import made
from tests.faults.harness.postgres import Postgres
from tests.faults.harness.processes import Service


async def figures(folder: Path) -> dict[str, str]:
    """What each figure is about, and its value."""
    here = made(folder)
    postgres = Postgres(here)
    service = Service(here, database=postgres.url)
    try:
        await postgres.start()
        await service.start()
        await service.ready()
        await block(postgres.url)
        async with Millrace(service.url) as client:
            cost = await measured(postgres.url, client)
    finally:
        await service.close()
        await postgres.close()
    return {f"A claim behind {BLOCKED:,} jobs that may not run": str(cost)}
