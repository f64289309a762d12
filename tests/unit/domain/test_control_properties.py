"""No sequence of commands breaks the rules of queues and of circuits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain import circuit as circuits
from domain import queue as queues
from domain.aggregate import Event
from domain.circuit import Circuit
from handlers import circuit as circuit_handler
from handlers import queue as queue_handler
from handlers.routes import Decided, Moment
from millrace.contracts import circuit as circuit_contract
from millrace.contracts import queue as queue_contract
from tests.controls.clock import NOW

POLICIES = st.fixed_dictionaries(
    {
        "failures": st.integers(1, 4),
        "rate": st.none() | st.sampled_from([0.5, 1.0]),
        "minimum": st.integers(1, 5),
        "pause": st.sampled_from([2.0, 60.0]),
        "probes": st.integers(1, 3),
        "enabled": st.booleans(),
    }
)
RATE = {"limit": 3, "period": 1.0}
QUEUES: dict[str, list[Any]] = {
    "order": ["strict", "aging", "fair"],
    "aging": [1.0, 60.0],
    "weights": [{}, {"acme": 3.0}],
    "concurrency": [None, 1, 5],
    "rate": [None, RATE, RATE | {"burst": 9}],
    "per_name": [{}, {"n": {"concurrency": 1}}, {"n": {"rate": RATE}}],
    "per_key": [None, {"concurrency": 2}],
}


class Life(RuleBasedStateMachine):
    """One aggregate that commands are given to, each twice."""

    STREAM = ""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.events: list[Event] = []
        self.told: Any = None

    @rule(seconds=st.integers(0, 50))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def a_replay_comes_to_the_same_state(self) -> None:
        if self.told is not None:
            assert type(self.told).replayed(self.events) == self.told
        assert [event.originator_version for event in self.events] == list(range(1, len(self.events) + 1))

    @property
    def moment(self) -> Moment:
        return Moment(self.now, "n", self.STREAM, 0, "e1")

    def keep(self, decided: Decided) -> None:
        self.told = decided.aggregate
        self.events += self.told.collected()

    def twice(self, decide: Callable[[], Decided]) -> None:
        self.keep(decide())
        made = len(self.events)
        self.keep(decide())
        assert len(self.events) == made, "a repetition wrote"


class QueueLife(Life):
    """One queue, which nobody has told anything at first."""

    STREAM = "queue:acme:n"

    def __init__(self) -> None:
        super().__init__()
        self.wanted: dict[str, Any] | None = None
        self.paused = False

    @rule(given=st.fixed_dictionaries({}, optional={name: st.sampled_from(each) for name, each in QUEUES.items()}))
    def somebody_configures_it(self, given: dict[str, Any]) -> None:
        wish = queue_contract.Configure.model_validate({"name": "n", **given})
        self.twice(lambda: queue_handler.configure({}, self.told, wish, self.moment))
        full = wish.model_dump(include=set(given))
        self.wanted = queue_handler.with_bursts({**(self.wanted or queues.DEFAULTS), **full})

    @rule(paused=st.booleans())
    def somebody_pauses_or_resumes_it(self, paused: bool) -> None:
        if paused:
            self.twice(lambda: queue_handler.pause(self.told, queue_contract.Pause(name="n"), self.moment))
        else:
            self.twice(lambda: queue_handler.resume(self.told, queue_contract.Resume(name="n"), self.moment))
        self.paused = paused

    @invariant()
    def it_is_as_it_was_last_told(self) -> None:
        assert self.told is None or (self.told.settings, self.told.paused) == (self.wanted, self.paused)

    @invariant()
    def pauses_and_resumptions_take_turns(self) -> None:
        turns = [type(event) for event in self.events if isinstance(event, queues.Paused | queues.Resumed)]
        assert turns == ([queues.Paused, queues.Resumed] * len(turns))[: len(turns)]


class CircuitLife(Life):
    """One circuit, its operators, and watches that tell what they have counted, also when it has changed since."""

    STREAM = "circuit:acme:n"

    @initialize(policy=POLICIES)
    def begin(self, policy: dict[str, Any]) -> None:
        self.somebody_configures_it(policy)

    @rule(policy=POLICIES)
    def somebody_configures_it(self, policy: dict[str, Any]) -> None:
        wish = circuit_contract.ConfigureCircuit(name="n", **policy)
        self.twice(lambda: circuit_handler.configure(self.told, wish, self.moment))

    @rule()
    def somebody_resets_it(self) -> None:
        wish = circuit_contract.ResetCircuit(name="n")
        self.twice(lambda: circuit_handler.reset(self.told, wish, self.moment))
        assert self.told.state == "closed"

    @rule(failed=st.integers(0, 6), completed=st.integers(0, 6))
    def a_watch_has_counted(self, failed: int, completed: int) -> None:
        before = self.told.state
        judge = circuit_handler.Judge(name="n", failed=failed, completed=completed)
        self.keep(circuit_handler.judge({}, self.told, judge, self.moment))
        if not failed:
            assert self.told.state != "open" or before == "open"

    @rule()
    def a_watch_thinks_that_its_pause_is_over(self) -> None:
        self.twice(lambda: circuit_handler.half_open(self.told, circuit_handler.HalfOpen(name="n"), self.moment))

    @invariant()
    def its_states_follow_each_other_and_a_pause_lasts(self) -> None:
        state, enabled = "closed", True
        until: datetime | None = None
        for event in self.events:
            match event:
                case circuits.Configured():
                    enabled = event.enabled
                case circuits.Opened():
                    assert enabled
                    assert state != "open"
                    state, until = "open", event.until
                case circuits.HalfOpened():
                    assert state == "open"
                    assert until is not None
                    assert event.timestamp >= until
                    state = "half_open"
                case circuits.Closed():
                    assert state != "closed"
                    state = "closed"
                case _:
                    raise AssertionError(event)
        assert isinstance(self.told, Circuit)
        assert (self.told.state, self.told.policy["enabled"]) == (state, enabled)
        assert enabled or state == "closed"
        assert (self.told.until is None) == (state != "open")


TestQueueLife = QueueLife.TestCase
TestCircuitLife = CircuitLife.TestCase
TestQueueLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestCircuitLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
