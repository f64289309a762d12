"""The race runs, and its result has the shape that other programs read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


def test_a_short_race_writes_figures_by_workload_and_peer(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "drain", "--peers", "millrace", "--rounds", "1", "--n", "20"]
    environment = {**os.environ, "BENCH_OUT": str(tmp_path)}

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS)

    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results.keys() == {"enqueue", "drain"}
    for figures in results.values():
        assert figures.keys() == {"millrace", "unit"}
        assert figures["millrace"] > 0
        assert figures["unit"] == "jobs/s"
    assert (tmp_path / "chart.svg").read_text().startswith("<svg")
    assert json.loads((tmp_path / "run.json").read_text())["failures"] == []
