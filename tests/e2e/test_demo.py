"""The demo as anybody runs it: real processes on an embedded PostgreSQL, and all its checks hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 400


@pytest.mark.slow
def test_all_checks_of_the_demo_hold() -> None:
    done = subprocess.run([sys.executable, "-m", "demo.run"], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-2_000:]
    assert "All checks hold" in done.stdout
    assert "FAILED" not in done.stdout
