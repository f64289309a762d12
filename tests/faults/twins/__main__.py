"""`python -m tests.faults.twins`: runs every known-bad build and tells which checker caught it, and how soon."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.faults.cleanly import run_cleanly
from tests.faults.harness.folders import temporary
from tests.faults.harness.phase_run import run_phase
from tests.faults.report import OUT
from tests.faults.twins.cases import CASES, Case

REPORT = OUT / "twins.json"


async def caught(case: Case, seed: int, folder: Path) -> dict[str, Any]:
    """Runs one known-bad build; says which of its checkers found something, and all findings."""
    outcome = await run_phase(case.armed(), seed, folder)
    by = [checker for checker in case.checkers if checker in outcome.findings]
    found = {checker: [str(len(each)), each[0]] for checker, each in outcome.findings.items()}
    return {"name": case.name, "promise": case.promise, "by": by, "seconds": round(outcome.seconds, 1), "found": found}


async def _run(cases: list[Case], seed: int) -> list[dict[str, Any]]:
    results = []
    folder = temporary("millrace-twins-")
    console = Console(stderr=True)
    for number, case in enumerate(cases):
        with console.status(f"{number + 1} of {len(cases)}: {case.name}"):
            results.append(await caught(case, seed, folder / str(number)))
        shutil.rmtree(folder / str(number), ignore_errors=True)
        last = results[-1]
        verdict = f"caught by {', '.join(last['by'])}" if last["by"] else f"NOT CAUGHT: {last['found']}"
        console.print(f"{case.promise} {case.name}: {verdict} after {last['seconds']} s")
    shutil.rmtree(folder, ignore_errors=True)
    return results


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The results for people, in Markdown."""
    lines = ["| promise | known-bad build | caught by | after |", "|---|---|---|---|"]
    for each in results:
        by = ", ".join(each["by"]) or "**nothing**"
        lines.append(f"| {each['promise']} | {each['name']} | {by} | {each['seconds']:.0f} s |")
    count = sum(bool(each["by"]) for each in results)
    return "\n".join([*lines, "", f"{count} of {len(results)} caught."])


def main() -> int:
    """Returns 0 where every known-bad build was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.twins", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="those whose name has one of these words")
    arguments = parser.parse_args()
    chosen = [case for case in CASES if not arguments.only or any(word in case.name for word in arguments.only)]
    for case in chosen:
        if case.impossible:
            print(f"left out: {case.name}: {case.impossible}", file=sys.stderr)
    results = run_cleanly(_run([case for case in chosen if case.impossible is None], arguments.seed))
    if not arguments.only:
        OUT.mkdir(exist_ok=True)
        REPORT.write_text(json.dumps({"seed": arguments.seed, "twins": results}, indent=1) + "\n")
    print(table(results))
    return 0 if all(each["by"] for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
