"""`python -m tests.faults.publish`: writes the figures of the last run and of the known-bad builds down."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.profiles import PROFILES
from tests.faults.report import REPORT, table
from tests.faults.twins.__main__ import REPORT as TWINS
from tests.faults.twins.__main__ import table as twins_table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "promises.md"
BEGIN, END = "<!-- figures -->", "<!-- end of the figures -->"


class NoSuchBlock(Exception):
    """Raised when a document has no place for the figures; `document` is its path."""

    def __init__(self, document: Path) -> None:
        super().__init__(f"{document} has no lines {BEGIN!r} and {END!r}, between which the figures belong")
        self.document = document


def block(report: Mapping[str, Any], twins: Sequence[Mapping[str, Any]] | None) -> str:
    """The figures for people, in Markdown.

    Args:
        twins: what became of the known-bad builds, None where they were not run.
    """
    lines = [f"`{report['command']}`", "", *_parts(report), table(report)]
    if twins is not None:
        lines += ["", "Known-bad builds (`python -m tests.faults.twins`):", "", twins_table(twins)]
    return "\n".join(lines)


def _parts(report: Mapping[str, Any]) -> list[str]:
    """What the figures are not: of one revision, or of all phases."""
    ran = {phase["phase"]: phase["revision"] for phase in report["phases"]}
    missing = [phase.name for phase in PROFILES[report["profile"]]() if phase.name not in ran]
    said = []
    if len(set(ran.values())) > 1:
        said.append("Taken in parts: " + ", ".join(f"{name} at {revision}" for name, revision in ran.items()) + ".")
    if missing:
        said.append(f"Not among them: {', '.join(missing)}.")
    return [*said, ""] if said else []


def published(document: Path, text: str) -> None:
    """Puts the text between the two comments of a document.

    Raises:
        NoSuchBlock: it does not have them.
    """
    before, begun, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise NoSuchBlock(document)
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Returns 1 where there is no report."""
    if not REPORT.exists():
        print(f"there is no {REPORT}; run `make faults PROFILE=full` first", file=sys.stderr)
        return 1
    twins = json.loads(TWINS.read_text())["twins"] if TWINS.exists() else None
    published(DOCUMENT, block(json.loads(REPORT.read_text()), twins))
    return 0


if __name__ == "__main__":
    sys.exit(main())
