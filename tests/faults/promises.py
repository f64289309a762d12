"""`python -m tests.faults.promises`: writes the last figures of the bench into docs/promises.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.faults.report import REPORT, table
from tests.faults.twins.__main__ import REPORT as TWINS
from tests.faults.twins.__main__ import table as twins_table

PAGE = Path(__file__).resolve().parents[2] / "docs/promises.md"
BEGIN, END = "<!-- figures -->", "<!-- end of the figures -->"


def main() -> int:
    """Returns 1 where there is nothing to write."""
    missing = [str(file) for file in (REPORT, TWINS) if not file.exists()]
    if missing:
        print(f"missing {', '.join(missing)}: run `make faults PROFILE=full` and `python -m tests.faults.twins`")
        return 1
    report, twins = json.loads(REPORT.read_text()), json.loads(TWINS.read_text())
    text = PAGE.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    parts = [f"`{report['command']}`", table(report), "Known-bad builds (`python -m tests.faults.twins`):",
             twins_table(twins["twins"])]  # fmt: skip
    PAGE.write_text("\n\n".join([before, *parts, after]))
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
