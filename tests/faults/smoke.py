"""What a phase must come to in a test."""

from __future__ import annotations

from pathlib import Path

from tests.faults.harness.phase import Phase
from tests.faults.harness.phase_run import run_phase
from tests.faults.seeds import chosen


async def keeps_every_promise(phase: Phase, folder: Path) -> None:
    """Runs the phase with the seed in `FAULTS_SEED`, or a new one, which pytest shows where it fails.

    Raises:
        AssertionError: a promise was broken, or a fault was not injected.
    """
    seed = chosen()
    print(f"FAULTS_SEED={seed}")
    outcome = await run_phase(phase, seed, folder / "run")
    assert not outcome.findings, f"seed {seed}, files in {outcome.folder}"
    assert outcome.faults == {kind: count for kind, count in phase.faults.items() if count}
