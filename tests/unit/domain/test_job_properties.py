"""No sequence of commands, duplicates and stale attempts breaks the rules of a job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain import job_change, job_events, job_repair
from domain.aggregate import Event
from domain.errors import Refusal
from domain.job import Job
from domain.retry import retry_delay
from handlers.job_repair import Purge, purge
from handlers.routes import Moment
from tests.controls.clock import NOW
from tests.controls.jobs import BROKEN_PIPE, STREAM, wish

ENDINGS = (job_events.Completed, job_events.DeadLettered, job_events.Cancelled)
OF_AN_ATTEMPT = (
    job_events.Completed,
    job_events.AttemptFailed,
    job_events.AttemptLost,
    job_events.AttemptReturned,
    job_events.RetryScheduled,
    job_events.DeadLettered,
)
AFTER_THE_END = (job_events.Removed, job_repair.Edited, job_repair.EditUndone, job_repair.RetryUndone)
KINDS = st.sampled_from(["fixed", "exponential", "none"])
POLICIES = st.fixed_dictionaries(
    {
        "kind": KINDS,
        "delay": st.floats(0.001, 1_000),
        "factor": st.floats(1, 10),
        "max_delay": st.floats(0.001, 100_000),
        "jitter": st.floats(0, 1),
    }
)


class JobLife(RuleBasedStateMachine):
    """One job and everybody who may talk to it, in any order, late and twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.events: list[Event] = []
        self.job: Job

    @initialize(attempts=st.integers(1, 4), policy=POLICIES, delay=st.sampled_from([None, -1, 60]))
    def enqueue(self, attempts: int, policy: dict[str, Any], delay: int | None) -> None:
        run_at = None if delay is None else self.now + timedelta(seconds=delay)
        self.job = Job.enqueue(STREAM, self.now, **wish(max_attempts=attempts, retry=policy, run_at=run_at))
        self.events += self.job.collected()

    @rule(seconds=st.integers(0, 100))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def a_claim_starts_it(self) -> None:
        """As the work queue does: only a waiting job, with the number after the last."""
        if self.job.status in ("pending", "delayed"):
            self.job.trigger_event(job_events.Started, timestamp=self.now, attempt=self.job.attempt + 1, worker="w-5")
            self.events += self.job.collected()

    @rule(back=st.integers(0, 3), result=st.none() | st.integers())
    def a_worker_reports_success(self, back: int, result: int | None) -> None:
        self._try(lambda now: self.job.complete(self.job.attempt - back, result, now), back)

    @rule(back=st.integers(0, 3), retryable=st.booleans())
    def a_worker_reports_failure(self, back: int, retryable: bool) -> None:
        self._try(lambda now: self.job.fail(self.job.attempt - back, BROKEN_PIPE, retryable, now), back)

    @rule(back=st.integers(0, 3), delay=st.sampled_from([0.0, 30.0]))
    def a_worker_hands_it_back_or_snoozes_it(self, back: int, delay: float) -> None:
        self._try(lambda now: self.job.give_back(self.job.attempt - back, "no room", now, delay), back)

    @rule(back=st.integers(0, 3))
    def a_lease_lapses(self, back: int) -> None:
        self._try(lambda now: self.job.lose(self.job.attempt - back, "w-5", now), back)

    @rule()
    def somebody_cancels(self) -> None:
        self._try(lambda now: self.job.cancel(None, now))

    @rule()
    def somebody_revives(self) -> None:
        self._try(lambda now: self.job.revive(None, now))

    @rule()
    def somebody_removes(self) -> None:
        self._try(lambda now: self.job.remove(now))

    @rule(
        priority=st.integers(-3, 3),
        queue=st.sampled_from(["media", "mail"]),
        delay=st.none() | st.integers(0, 60),
        data=st.sampled_from([{"n": 1}, {"n": 2}]),
    )
    def somebody_changes_it(self, priority: int, queue: str, delay: int | None, data: dict[str, Any]) -> None:
        run_at = None if delay is None else self.now + timedelta(seconds=delay)
        wanted: job_change.Changes = {"priority": priority, "queue": queue, "run_at": run_at, "data": data}
        self._try(lambda now: job_change.change(self.job, wanted, now))

    @rule(back=st.integers(0, 3), number=st.integers(1, 3), state=st.integers())
    def an_attempt_saves_a_checkpoint(self, back: int, number: int, state: int) -> None:
        self._try(lambda now: self.job.save_checkpoint(self.job.attempt - back, state, number, now), back)

    @rule(data=st.sampled_from([{"n": 1}, {"n": 3}]))
    def somebody_edits_the_dead_letter(self, data: dict[str, Any]) -> None:
        self._try(lambda now: job_repair.edit(self.job, [], data, None, now))

    @rule()
    def somebody_undoes(self) -> None:
        """Each time takes back another step, so that a repetition may well do something."""
        before = Job.replayed(self.events)
        try:
            undone = job_repair.undo(self.job, None, self.now)
        except Refusal:
            assert self.job == before
        else:
            assert self.job.dead_lettered
            assert undone == "edit" or self.job.status == "failed"
        self.events += self.job.collected()

    @rule()
    def somebody_purges(self) -> None:
        was_dead = self.job.dead_lettered and not self.job.removed
        try:
            purge(self.job, Purge(job_id="11"), Moment(self.now, "11", STREAM, 0, "e1"))
            assert was_dead
        except Refusal:
            assert not was_dead
        self.events += self.job.collected()

    def _try(self, decision: Callable[[datetime], None], back: int = 0) -> None:
        """Carries a decision out twice; what comes from an older attempt records nothing."""
        for repeated in (False, True):
            before = Job.replayed(self.events)
            try:
                decision(self.now)
            except Refusal:
                assert self.job.collected() == []
                assert self.job == before
            made = self.job.collected()
            assert not (back and made), "a stale attempt wrote"
            assert not (repeated and made), "a repetition wrote"
            self.events += made

    @invariant()
    def a_replay_comes_to_the_same_state(self) -> None:
        assert Job.replayed(self.events) == self.job

    @invariant()
    def versions_have_no_gap(self) -> None:
        assert [event.originator_version for event in self.events] == list(range(1, len(self.events) + 1))

    @invariant()
    def it_ends_once_unless_revived(self) -> None:
        ended = False
        for event in self.events:
            if isinstance(event, job_events.Revived):
                ended = False
            elif isinstance(event, ENDINGS):
                assert not ended
                ended = True
            else:
                assert not ended or isinstance(event, AFTER_THE_END)
        assert ended == (self.job.status in ("completed", "failed", "cancelled"))

    @invariant()
    def edits_that_stand_can_all_be_taken_back(self) -> None:
        made = sum(isinstance(event, job_repair.Edited) for event in self.events)
        undone = sum(isinstance(event, job_repair.EditUndone) for event in self.events)
        assert len(self.job.before_edits) == made - undone

    @invariant()
    def attempts_are_numbered_upward_and_the_newest_alone_writes(self) -> None:
        newest = 0
        for event in self.events:
            if isinstance(event, job_events.Started):
                assert event.attempt == newest + 1
                newest = event.attempt
            elif isinstance(event, OF_AN_ATTEMPT):
                assert event.attempt == newest
        assert newest == self.job.attempt

    @invariant()
    def no_more_attempts_are_used_than_were_granted(self) -> None:
        started = sum(isinstance(event, job_events.Started) for event in self.events)
        returned = sum(isinstance(event, job_events.AttemptReturned) for event in self.events)
        assert started - returned == self.job.attempts <= self.job.max_attempts

    @invariant()
    def what_was_removed_never_runs_again(self) -> None:
        assert not self.job.removed or self.job.status in ("completed", "failed", "cancelled")


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(policy=POLICIES, failures=st.integers(1, 1_000), seed=st.text(max_size=20))
def test_a_retry_waits_at_most_as_long_as_its_policy_allows(policy: dict[str, Any], failures: int, seed: str) -> None:
    wait = retry_delay(policy, failures, seed)
    assert 0 <= wait <= policy["max_delay"]
    assert wait >= min(policy["delay"], policy["max_delay"]) * (1 - policy["jitter"]) * (1 - 1e-9)


@given(policy=POLICIES, failures=st.integers(1, 1_000), seed=st.text(max_size=20))
def test_the_same_failure_waits_the_same_time(policy: dict[str, Any], failures: int, seed: str) -> None:
    assert retry_delay(policy, failures, seed) == retry_delay(policy, failures, seed)


@given(policy=POLICIES, failures=st.integers(1, 100), seed=st.text(max_size=20))
def test_without_jitter_no_later_failure_waits_less(policy: dict[str, Any], failures: int, seed: str) -> None:
    steady = {**policy, "jitter": 0.0}
    assert retry_delay(steady, failures, seed) <= retry_delay(steady, failures + 1, seed)


def test_jitter_spreads_the_retries_of_many_jobs() -> None:
    policy = {"kind": "fixed", "delay": 10.0, "factor": 1.0, "max_delay": 10.0, "jitter": 0.5}
    waits = {retry_delay(policy, 1, f"job-{number}") for number in range(100)}
    assert len(waits) == 100
    assert 5.0 < min(waits) < 5.5
    assert 9.5 < max(waits) < 10.0
