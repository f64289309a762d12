"""What the demo asks for, and a plain loop over the same files to compare the answers with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo.analysis import SourceFacts, analyze
from demo.sources import SourceFile, small_packages
from demo.summary import PARSE

SMALL_PACKAGE_PRIORITY = 10
CHECKPOINT_DELAY = 3.0
CLEANUP_DELAY = 3_600.0


def parse_jobs(files: Sequence[SourceFile]) -> list[dict[str, Any]]:
    """One job for each file; those of small packages go first."""
    small = small_packages(files)
    return [
        {
            "name": PARSE,
            "data": {"root": file.root, "path": file.path},
            "priority": SMALL_PACKAGE_PRIORITY if file.package in small else 0,
            "max_attempts": 3,
            "timeout": 60,
            "retry": {"kind": "fixed", "delay": 0.5, "jitter": 0},
        }
        for file in files
    ]


def plain_loop(files: Sequence[SourceFile]) -> dict[str, SourceFacts | None]:
    """What each file should give, worked out without Millrace; None where this Python cannot parse it."""
    return {file.path: _facts(file) for file in files}


def _facts(file: SourceFile) -> SourceFacts | None:
    try:
        return analyze(file.path, (Path(file.root) / file.path).read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
