"""Known-bad builds do not get past the checkers; `python -m tests.faults.twins` runs all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness.phase_run import run_phase
from tests.faults.harness.schedule import schedule
from tests.faults.harness.workload import Mix, orders
from tests.faults.profiles import full
from tests.faults.report import PROMISES, WATCHES, upper_bound
from tests.faults.twins.cases import CASES, Case


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", [case for case in CASES if case.quick], ids=lambda case: case.name)
async def test_a_known_bad_build_is_caught(case: Case, passable: Path) -> None:
    outcome = await run_phase(case.armed(), 1, passable / "run")
    assert set(case.checkers) & outcome.findings.keys(), outcome.findings


def test_every_promise_that_is_tested_has_a_known_bad_build_and_a_checker() -> None:
    tested = {promise for promise, (_, targets) in PROMISES.items() if targets}
    assert {case.promise for case in CASES} == tested
    assert {checker for case in CASES for checker in case.checkers} <= WATCHES.keys()


def test_a_seed_repeats_its_faults_and_its_orders() -> None:
    for phase in full():
        first = schedule(7, phase.name, phase.faults, phase.pause)
        assert schedule(7, phase.name, phase.faults, phase.pause) == first
        assert schedule(8, phase.name, phase.faults, phase.pause) != first
    some, same = orders(7, ["a", "b"], Mix()), orders(7, ["a", "b"], Mix())
    assert [next(some) for _ in range(500)] == [next(same) for _ in range(500)]


def test_the_bound_is_that_of_the_rule_of_three() -> None:
    assert upper_bound(300) == pytest.approx(0.01, abs=0.0005)
    assert upper_bound(0) is None
