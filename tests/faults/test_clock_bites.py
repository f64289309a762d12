"""A stepped clock is seen by the process that it was given to, and only as wall time."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from tests.faults.harness import clock

HOUR = 3_600.0
# Says both clocks for each line that it is sent.
TELLER = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


@pytest.mark.skipif(clock.unavailable() is not None, reason=str(clock.unavailable()))
async def test_a_step_moves_the_wall_clock_of_a_running_process_and_not_its_monotonic_one(tmp_path: Path) -> None:
    stepped = clock.Clock(tmp_path)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TELLER, env=stepped.environment, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None

    async def told() -> tuple[float, float]:
        """How far the child is ahead of us, by its wall clock and by its monotonic one."""
        child.stdin.write(b"\n")  # type: ignore[union-attr]
        wall, monotonic = map(float, (await child.stdout.readline()).split())  # type: ignore[union-attr]
        return wall - time.time(), monotonic - time.monotonic()

    try:
        async with asyncio.timeout(20):
            ahead, monotonic = [], []
            for step in (0.0, HOUR, -3 * HOUR):
                stepped.step(step)
                wall, steady = await told()
                ahead.append(wall)
                monotonic.append(steady)
    finally:
        child.kill()
        await child.wait()
        stepped.close()
    assert not list(clock.SHARED_MEMORY.glob(f"*faketime*_{child.pid}"))
    assert ahead == pytest.approx([0.0, HOUR, -2 * HOUR], abs=60)
    assert monotonic == pytest.approx([0.0, 0.0, 0.0], abs=60)
