"""`python -m tests.faults`: runs a profile, shows how far it is, and tells what was found."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import traceback
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults.cleanly import run_cleanly
from tests.faults.figures import figures
from tests.faults.harness.folders import temporary
from tests.faults.harness.phase import Outcome, Phase
from tests.faults.harness.phase_run import Progress as Shown
from tests.faults.harness.phase_run import run_phase
from tests.faults.profiles import PROFILES, left_out
from tests.faults.report import table, written

# Start, settling, the consumers' patience and the last rebuild together, beside what the nemesis may take.
AROUND_SECONDS = 360.0


def main() -> int:
    """Returns 0 where every promise was kept, 1 where one was broken."""
    arguments = _arguments()
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    phases = PROFILES[arguments.profile]()
    if arguments.only:
        unknown = set(arguments.only) - {phase.name for phase in phases}
        if unknown:
            names = ", ".join(repr(phase.name) for phase in phases)
            sys.exit(f"there is no phase {', '.join(sorted(unknown))} in {arguments.profile}; known are {names}")
        phases = [phase for phase in phases if phase.name in arguments.only]
    console = Console(stderr=True)
    console.print(f"profile {arguments.profile}, SEED={seed}")
    for reason in left_out():
        console.print(f"left out: {reason}")
    command = f"make faults PROFILE={arguments.profile} SEED={seed}"
    outcomes = run_cleanly(_run(phases, seed, console, arguments.profile, command))
    return 1 if any(outcome.findings for outcome in outcomes) else 0


async def _run(phases: list[Phase], seed: int, console: Console, profile: str, command: str) -> list[Outcome]:
    outcomes = []
    began = datetime.now(UTC).isoformat(timespec="seconds")
    folder = temporary(f"millrace-faults-{seed}-")
    report = {}
    known = await figures(folder / "figures")
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("faults"), TimeElapsedColumn(),
        console=console,
    ) as progress:  # fmt: skip
        tasks = {phase.name: progress.add_task(phase.name, total=None, start=False) for phase in phases}

        def show(name: str, done: int, of: int) -> None:
            progress.start_task(tasks[name])
            progress.update(tasks[name], completed=done, total=of)

        for phase in phases:
            outcome = await _attempted(phase, seed, folder / phase.name.replace(" ", "-"), show)
            outcomes.append(outcome)
            verdict = f"broken: {', '.join(outcome.findings)}" if outcome.findings else "kept"
            progress.update(tasks[phase.name], description=f"{phase.name}: {verdict}")
            report = written(profile, seed, command, began, outcomes, known)
            if not outcome.findings:
                shutil.rmtree(outcome.folder, ignore_errors=True)
    if not any(outcome.findings for outcome in outcomes):
        shutil.rmtree(folder, ignore_errors=True)
    print(table(report))
    return outcomes


async def _attempted(phase: Phase, seed: int, folder: Path, show: Shown) -> Outcome:
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="smoke")
    parser.add_argument("--seed", type=int, help="repeats the workload and the faults of that seed; else a new one")
    parser.add_argument("--only", nargs="+", metavar="PHASE", help="some of the profile's phases")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
