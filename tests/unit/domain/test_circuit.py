"""When the circuit of a name opens, lets jobs through on trial, and closes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from domain.circuit import Circuit, Closed, Configured, HalfOpened, Opened
from handlers.circuit import Judge, judge
from handlers.routes import Moment
from millrace.contracts.circuit import CircuitPolicy
from tests.controls.clock import NOW, later
from tests.support.spec import given

STREAM = "circuit:acme:charge"
POLICY: dict[str, Any] = CircuitPolicy(failures=3, rate=0.5, minimum=4, window=60, pause=30, probes=2).model_dump()
CONFIGURED = Configured(STREAM, 1, NOW, "charge", **POLICY)
OPENED = Opened(STREAM, 2, later(1), "3 attempts failed within 60 s", 3, 3, later(31))
HALF_OPENED = HalfOpened(STREAM, 3, later(31), 2)


def judged(failed: int, completed: int, second: int) -> Any:
    command = Judge(name="charge", failed=failed, completed=completed)
    return lambda it: judge({}, it, command, Moment(later(second), "charge", STREAM, 0, "e"))


def test_it_opens_after_so_many_failures_for_as_long_as_the_pause() -> None:
    opened = given(CONFIGURED).when(judged(3, 0, 1)).then(OPENED)
    assert (opened.to_wire()["state"], opened.to_wire()["until"]) == ("open", later(31))
    given(CONFIGURED).when(judged(2, 0, 1)).nothing()


def test_it_opens_by_the_share_that_fails_once_there_are_enough_attempts() -> None:
    reason = "2 of 4 attempts failed within 60 s"
    given(CONFIGURED).when(judged(2, 2, 1)).then(Opened(STREAM, 2, later(1), reason, 2, 4, later(31)))
    given(CONFIGURED).when(judged(2, 3, 1)).nothing()


def test_one_that_is_open_stays_so_whoever_counts_what() -> None:
    given(CONFIGURED, OPENED).when(judged(9, 0, 2)).nothing()
    given(CONFIGURED, OPENED).when(judged(0, 9, 2)).nothing()
    given(CONFIGURED, OPENED).when(lambda it: it.half_open(later(30))).nothing()


def test_after_the_pause_it_is_half_open_until_enough_have_completed() -> None:
    given(CONFIGURED, OPENED).when(lambda it: it.half_open(later(31))).then(HALF_OPENED)
    given(CONFIGURED, OPENED, HALF_OPENED).when(judged(0, 1, 32)).nothing()
    given(CONFIGURED, OPENED, HALF_OPENED).when(judged(0, 2, 32)).then(Closed(STREAM, 4, later(32), None))
    given(CONFIGURED, OPENED, HALF_OPENED).when(lambda it: it.half_open(later(40))).nothing()


def test_one_failure_on_trial_opens_it_again() -> None:
    again = Opened(STREAM, 4, later(32), "an attempt on trial failed", 1, 3, later(62))
    given(CONFIGURED, OPENED, HALF_OPENED).when(judged(1, 2, 32)).then(again)


def test_it_is_reset_by_hand_and_closes_when_it_is_switched_off() -> None:
    closed = Closed(STREAM, 3, later(5), "the route is back")
    given(CONFIGURED, OPENED).when(lambda it: it.close("the route is back", later(5))).then(closed)
    given(CONFIGURED).when(lambda it: it.close("again", later(5))).nothing()
    off = {**POLICY, "enabled": False}
    events = Configured(STREAM, 3, later(5), "charge", **off), Closed(STREAM, 4, later(5), "it was switched off")
    given(CONFIGURED, OPENED).when(lambda it: it.configure(off, later(5))).then(*events)
    given(CONFIGURED).when(lambda it: it.configure(dict(POLICY), later(5))).nothing()


def test_a_name_of_the_configuration_file_gets_its_circuit_when_it_opens() -> None:
    files = {"charge": CircuitPolicy.model_validate(POLICY)}
    command = Judge(name="charge", failed=3, completed=0)
    decided = judge(files, None, command, Moment(later(1), "charge", STREAM, 0, "e"))
    assert isinstance(decided.aggregate, Circuit)
    topics = [event.TOPIC for event in decided.aggregate.collected()]
    assert topics == ["circuit.configured", "circuit.opened"]


@pytest.mark.parametrize("policy", [{}, {"window": 5}, {"rate": 0}, {"failures": 0}, {"failures": 1, "pause": 1}])
def test_a_policy_that_cannot_work_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CircuitPolicy.model_validate(policy)
