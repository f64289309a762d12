"""`python -m tests.faults.publish`: writes the figures of the last run and of the known-bad builds down."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.profiles import PROFILES
from tests.faults.report import REPORT, table
from tests.faults.twins.__main__ import REPORT as TWINS
from tests.faults.twins.__main__ import table as twins_table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "promises.md"
FIGURES, BUILDS = "figures", "known-bad builds"


class NoSuchBlock(Exception):
    """Raised when a document has no place for a block; `document` is its path, `name` the block's."""

    def __init__(self, document: Path, name: str) -> None:
        begin, end = marks(name)
        super().__init__(f"{document} has no lines {begin!r} and {end!r}, between which the {name} belong")
        self.document, self.name = document, name


def marks(name: str) -> tuple[str, str]:
    """The comments around a block."""
    return f"<!-- {name} -->", f"<!-- end of the {name} -->"


def block(report: Mapping[str, Any]) -> str:
    """The figures of a report for people, in Markdown."""
    text = "\n".join([f"`{report['command']}`", "", *_parts(report), table(report)])
    # Where the files of a finding lie is of use on that machine alone.
    return re.sub(r" \(files: [^)]*\)", "", text)


def _parts(report: Mapping[str, Any]) -> list[str]:
    """What the figures are not: of one run, of all phases, or of as many faults as the profile has."""
    ran = {phase["phase"]: phase for phase in report["phases"]}
    profile = PROFILES[report["profile"]]()
    said = []
    if len({(phase["revision"], phase["run"]) for phase in ran.values()}) > 1:
        parts = (f"{name} at {phase['revision']}, {phase['run']}" for name, phase in ran.items())
        said.append(f"Taken in parts: {'; '.join(parts)}.")
    if missing := [phase.name for phase in profile if phase.name not in ran]:
        said.append(f"Not among them: {', '.join(missing)}.")
    counts = {phase.name: sum(phase.faults.values()) for phase in profile if phase.name in ran}
    fewer = [f"{name} ({done} of {count})" for name, count in counts.items()
             if (done := sum(ran[name]["faults"].values())) < count]  # fmt: skip
    if fewer:
        said.append(f"With fewer faults than the profile has: {', '.join(fewer)}.")
    return [" ".join(said), ""] if said else []


def published(document: Path, name: str, text: str) -> None:
    """Puts the text between the two comments of a block in a document.

    Raises:
        NoSuchBlock: it does not have them.
    """
    begin, end = marks(name)
    before, begun, rest = document.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise NoSuchBlock(document, name)
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def main() -> int:
    """Publishes the reports that there are; returns 1 where one is missing, whose block then stays as it was."""
    missing = 0
    if REPORT.exists():
        published(DOCUMENT, FIGURES, block(json.loads(REPORT.read_text())))
    else:
        print(f"there is no {REPORT}: run `make faults PROFILE=full`", file=sys.stderr)
        missing = 1
    if TWINS.exists():
        published(DOCUMENT, BUILDS, twins_table(json.loads(TWINS.read_text())["twins"]))
    else:
        print(f"there is no {TWINS}: run `python -m tests.faults.twins`", file=sys.stderr)
        missing = 1
    return missing


if __name__ == "__main__":
    sys.exit(main())
