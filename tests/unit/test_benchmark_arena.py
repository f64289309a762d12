"""Processes of a race end in bounded time, whether they lead a group or not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from benchmarks.arena import end

GENTLE = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {GENTLE}"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("program", "leads", "number"),
    [
        (GENTLE, True, signal.SIGTERM),
        (GENTLE, False, signal.SIGTERM),
        (STUBBORN, True, signal.SIGKILL),
        (STUBBORN, False, signal.SIGKILL),
    ],
)
def test_a_process_is_ended_whether_it_leads_a_group_or_not(program: str, leads: bool, number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=leads)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        end(process)
        assert process.returncode == -number
        end(process)
    finally:
        process.kill()
        process.wait()
