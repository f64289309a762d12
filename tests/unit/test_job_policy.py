"""What a job gets that does not say otherwise."""

from __future__ import annotations

from typing import Any

from domain.job import Job
from handlers.job import JobPolicy, enqueue
from handlers.routes import Moment
from infra.settings import Settings
from millrace.contracts.job import Enqueue, Retry
from tests.controls.clock import NOW

POLICY = JobPolicy(names={"transcribe": JobPolicy(7, 3_600.0, Retry(kind="fixed"))}, queue_priorities={"media": 5})


def made(**wish: Any) -> Job:
    decided = enqueue(POLICY, None, Enqueue.model_validate(wish), Moment(NOW, "11", "job:acme:11", 0, "e1"))
    assert isinstance(decided.aggregate, Job)
    return decided.aggregate


def test_a_name_has_defaults_of_its_own() -> None:
    job = made(name="transcribe", queue="media")
    assert (job.max_attempts, job.timeout, job.retry["kind"], job.queue_priority) == (7, 3_600.0, "fixed", 5)


def test_what_the_job_says_wins() -> None:
    job = made(name="transcribe", max_attempts=1, timeout=5, retry="none")
    assert (job.max_attempts, job.timeout, job.retry["kind"]) == (1, 5, "none")


def test_other_names_have_the_common_defaults() -> None:
    job = made(name="resize")
    assert (job.max_attempts, job.timeout, job.retry["kind"]) == (3, 300.0, "exponential")


def test_names_are_configured_in_part() -> None:
    names = {"transcribe": {"timeout": 3_600, "backoff": "fixed"}}
    settings = Settings.model_validate({"modules": {"jobs": {"names": names}}})
    own = settings.modules.jobs.names["transcribe"]
    assert (own.max_attempts, own.timeout) == (None, 3_600)
    assert own.backoff is not None
    assert own.backoff.kind == "fixed"
