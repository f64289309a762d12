"""Every checker catches the history that it is there for; without this a fault test that passes says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.harness import checkers
from tests.faults.harness.bounds import MEGABYTE, grown
from tests.faults.harness.history import Accepted, Memory

Log = list[dict[str, Any]]


class Written:
    """A log made by hand."""

    def __init__(self) -> None:
        self.log: Log = []
        self._versions: dict[str, int] = {}

    def add(self, job: str, kind: str, cause: str = "c", **data: Any) -> Written:
        version = self._versions[job] = self._versions.get(job, 0) + 1
        self.log.append(
            {
                "subject": job, "eventtype": f"job.{kind}", "data": data, "causationid": cause,
                "position": f"e-{len(self.log) + 1}", "version": version, "source": "/millrace/job",
            }
        )  # fmt: skip
        return self

    def job(self, job: str, cause: str, most: int = 3) -> Written:
        return self.add(job, "enqueued", cause, max_attempts=most)


def good() -> Written:
    made = Written().job("a", "c1").job("b", "c2", most=2)
    made.add("a", "started", attempt=1).add("b", "started", attempt=1)
    made.add("b", "attempt_returned", attempt=1).add("b", "started", attempt=2).add("b", "attempt_lost", attempt=2)
    made.add("b", "retry_scheduled", attempt=2).add("b", "started", attempt=3).add("b", "attempt_failed", attempt=3)
    return made.add("b", "dead_lettered", attempt=3).add("a", "completed", attempt=1)


ACCEPTED: list[Accepted] = [{"command": "c1", "job_id": "a"}, {"command": "c2", "job_id": "b"}]
RUNS = [("a", 1), ("b", 2), ("b", 3)]


def test_a_good_history_passes_every_checker() -> None:
    assert checkers.everything_wrong(ACCEPTED, good().log, RUNS) == {}


def test_an_accepted_job_that_is_not_in_the_log_is_caught() -> None:
    assert checkers.lost([*ACCEPTED, {"command": "c3", "job_id": "z"}], good().log)


def test_one_command_with_two_jobs_is_caught() -> None:
    assert checkers.doubled(ACCEPTED, good().job("x", "c1").log)


def test_one_command_with_two_answers_is_caught() -> None:
    assert checkers.doubled([*ACCEPTED, {"command": "c1", "job_id": "b"}], good().log)


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("it ends twice", good().add("a", "completed", attempt=1)),
        ("it ends twice in different ways", good().add("a", "dead_lettered", attempt=1)),
        ("it starts after its end", good().add("a", "started", attempt=2)),
        ("it starts too often", Written().job("a", "c", most=1).add("a", "started", attempt=1)
            .add("a", "attempt_lost", attempt=1).add("a", "started", attempt=2)),
        ("a zombie completes it", Written().job("a", "c").add("a", "started", attempt=1)
            .add("a", "attempt_lost", attempt=1).add("a", "started", attempt=2).add("a", "completed", attempt=1)),
        ("a zombie fails it", Written().job("a", "c").add("a", "started", attempt=1)
            .add("a", "attempt_lost", attempt=1).add("a", "started", attempt=2).add("a", "attempt_failed", attempt=1)),
        ("an attempt starts twice", Written().job("a", "c").add("a", "started", attempt=1)
            .add("a", "started", attempt=1)),
    ],
)  # fmt: skip
def test_a_job_that_breaks_its_rules_is_caught(name: str, log: Written) -> None:
    assert checkers.broken_jobs(log.log), name


def test_a_job_without_an_end_is_caught() -> None:
    assert checkers.unfinished(good().job("x", "c9").log)


def test_a_hole_in_the_log_is_caught() -> None:
    log = good().log
    assert checkers.disordered(log[:3] + log[4:])


def test_two_events_in_the_wrong_order_are_caught() -> None:
    log = good().log
    assert checkers.disordered([*log[:-2], log[-1], log[-2]])


def test_an_attempt_that_ran_twice_is_caught() -> None:
    assert checkers.run_twice([*RUNS, ("a", 1)])


def test_an_attempt_that_ran_without_a_start_is_caught() -> None:
    assert checkers.ran_unasked([*RUNS, ("a", 2)], good().log)


def test_a_completion_without_a_run_is_caught() -> None:
    assert checkers.completed_unrun(RUNS[1:], good().log)


def test_a_process_that_grows_is_caught_and_one_that_was_started_anew_is_not() -> None:
    def weighed(server: str, *megabytes: int) -> list[Memory]:
        return [Memory(server=server, at=float(n), resident=size * MEGABYTE) for n, size in enumerate(megabytes)]

    assert grown([*weighed("service (1)", 90, 280, 100), *weighed("service (2)", 80, 270)]) == []
    assert grown([*weighed("service (1)", 90, 120), *weighed("worker (2)", 60, 261, 80)]) == [
        "worker (2) grew from 60 to 261 MB"
    ]
