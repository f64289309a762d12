"""`python -m tests.faults`: runs a profile, shows how far it is, and tells what was found."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults.attempt import attempted
from tests.faults.cleanly import run_cleanly
from tests.faults.figures import figures
from tests.faults.harness.folders import temporary
from tests.faults.harness.phase import Outcome, Phase
from tests.faults.profiles import PROFILES, left_out
from tests.faults.report import table, written


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
            outcome = await attempted(phase, seed, folder / phase.name.replace(" ", "-"), show)
            outcomes.append(outcome)
            verdict = f"broken: {', '.join(outcome.findings)}" if outcome.findings else "kept"
            progress.update(tasks[phase.name], description=f"{phase.name}: {verdict}")
            if not console.is_terminal:
                # Bars are shown at the end only there.
                console.print(f"{phase.name}: {verdict} after {outcome.seconds:.0f} s")
            report = written(profile, seed, command, began, outcomes, known)
            if not outcome.findings:
                shutil.rmtree(outcome.folder, ignore_errors=True)
    if not any(outcome.findings for outcome in outcomes):
        shutil.rmtree(folder, ignore_errors=True)
    print(table(report))
    return outcomes


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="smoke")
    parser.add_argument("--seed", type=int, help="repeats the workload and the faults of that seed; else a new one")
    parser.add_argument("--only", nargs="+", metavar="PHASE", help="some of the profile's phases")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
