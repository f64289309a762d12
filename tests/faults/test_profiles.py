"""The smoke profile keeps every promise, and known-bad builds do not get past the checkers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness.phase import Phase, run_phase
from tests.faults.harness.schedule import schedule
from tests.faults.harness.workload import Mix, orders
from tests.faults.profiles import full, smoke
from tests.faults.report import upper_bound
from tests.faults.seeds import chosen
from tests.faults.twins.cases import CASES, Case


@pytest.mark.timeout(300)
@pytest.mark.parametrize("phase", smoke(), ids=lambda phase: phase.name)
async def test_every_kind_of_fault_leaves_every_promise_kept(phase: Phase, tmp_path: Path) -> None:
    seed = chosen()
    print(f"FAULTS_SEED={seed}")
    outcome = await run_phase(phase, seed, passable(tmp_path) / "run")
    assert not outcome.findings, f"seed {seed}, files in {outcome.folder}"
    assert sum(outcome.faults.values()) == sum(phase.faults.values())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", [case for case in CASES if case.quick], ids=lambda case: case.name)
async def test_a_known_bad_build_is_caught(case: Case, tmp_path: Path) -> None:
    outcome = await run_phase(case.armed(), 1, passable(tmp_path) / "run")
    assert set(case.checkers) & outcome.findings.keys(), outcome.findings


def test_a_seed_repeats_its_faults_and_its_orders() -> None:
    for phase in full():
        assert schedule(7, phase.name, phase.faults, phase.pause) == schedule(7, phase.name, phase.faults, phase.pause)
        assert schedule(7, phase.name, phase.faults, phase.pause) != schedule(8, phase.name, phase.faults, phase.pause)
    some, same = orders(7, ["a", "b"], Mix()), orders(7, ["a", "b"], Mix())
    assert [next(some) for _ in range(500)] == [next(same) for _ in range(500)]


def test_the_bound_is_that_of_the_rule_of_three() -> None:
    assert upper_bound(300) == pytest.approx(0.01, abs=0.0005)
    assert upper_bound(0) is None


def passable(folder: Path) -> Path:
    """PostgreSQL runs as another user where we are root, and has to pass through."""
    for each in (folder, *folder.parents):
        if each.name.startswith("pytest"):
            each.chmod(0o711)
    return folder
