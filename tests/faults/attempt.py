"""A phase of several: whatever becomes of it, the others have their time."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from pathlib import Path

from tests.faults.harness.phase import Outcome, Phase
from tests.faults.harness.phase_run import Progress, run_phase

# Start, settling, the consumers' patience and the last rebuild together, beside what the nemesis may take.
AROUND_SECONDS = 360.0


async def attempted(phase: Phase, seed: int, folder: Path, show: Progress = lambda what, done, of: None) -> Outcome:
    """Runs a phase; one that breaks off or hangs is an outcome too, so that the others still have their time."""
    try:
        async with asyncio.timeout(phase.limit + AROUND_SECONDS):
            return await run_phase(phase, seed, folder, show)
    except Exception as error:
        return _broken_off(phase, seed, folder, error)


def _broken_off(phase: Phase, seed: int, folder: Path, error: Exception) -> Outcome:
    folder.mkdir(exist_ok=True)
    told = folder / "broken-off"
    told.write_text("".join(traceback.format_exception(error)))
    found = {"C10 no recovery": [f"the phase broke off, see {told}: {error!r}"]}
    return Outcome(phase.name, seed, found, Counter(), folder=str(folder))
