"""A phase that cannot be run to its end says so, and takes nothing from those after it."""

from __future__ import annotations

from pathlib import Path

from tests.faults.attempt import attempted
from tests.faults.harness.phase import Phase
from tests.faults.harness.stack import Plan

PLAN = Plan(broker=False, subscriber=False)


async def test_a_service_that_does_not_start_is_a_finding_and_what_was_said_is_kept(passable: Path) -> None:
    phase = Phase("broken", Plan(program="no.such.program", broker=False, subscriber=False), {"worker.kill": 1})
    outcome = await attempted(phase, 1, passable / "run")
    [finding] = outcome.findings["C10 no recovery"]
    assert "the phase broke off" in finding
    assert "No module named" in (passable / "run" / "broken-off").read_text()
    assert not outcome.faults


async def test_a_phase_that_takes_too_long_is_stopped_and_tells_how_far_it_came(passable: Path) -> None:
    phase = Phase("slow", PLAN, {"worker.kill": 50}, pause=(60.0, 60.0), jobs=1, limit=5.0)
    outcome = await attempted(phase, 1, passable / "run")
    assert outcome.findings == {"C10 no recovery": ["stopped after 0 of 50 faults: the limit of 5 s is over"]}
    assert outcome.settled is not None
