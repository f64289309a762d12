"""Labels of metrics stay few, whatever names come from outside."""

from __future__ import annotations

from adapters.job_times import JobTimes
from adapters.metrics import OTHER, Lanes, Metrics
from handlers.outcomes import Ended
from tests.controls.clock import NOW


def test_the_largest_queues_have_labels_of_their_own_and_the_rest_is_one() -> None:
    lanes = Lanes({("acme", "a"): 5, ("acme", "b"): 9, ("zeta", "a"): 1}, most=2)
    assert lanes.labels(("acme", "a")) == ("acme", "a")
    assert lanes.labels(("acme", "b")) == ("acme", "b")
    assert lanes.labels(("zeta", "a")) == (OTHER, OTHER)
    assert lanes.labels(("nobody", "nothing")) == (OTHER, OTHER)


def test_queues_of_one_size_are_chosen_by_name() -> None:
    sizes = {("acme", name): 1 for name in "cab"}
    assert [Lanes(sizes, most=1).labels(("acme", name))[1] for name in "abc"] == ["a", OTHER, OTHER]


def ended(name: str, outcome: str = "completed", tenant: str = "acme", waited: float = 0.2, ran: float = 7.0) -> Ended:
    return Ended(tenant, "media", name, outcome, waited, ran, NOW)  # type: ignore[arg-type]


def test_waits_and_runs_are_histograms_by_queue_and_name() -> None:
    metrics = Metrics()
    for attempt in (ended("a"), ended("a", "failed", ran=0.02), ended("a", "returned"), ended("b", "lost", "zeta")):
        metrics.times.count(attempt)
    value = metrics.registry.get_sample_value
    lane = {"queue": "media", "name": "a"}
    assert value("millrace_job_run_seconds_count", lane) == 2, "one that was handed back unrun has no times"
    assert value("millrace_job_run_seconds_sum", lane) == 7.02
    buckets = [value("millrace_job_run_seconds_bucket", {**lane, "le": le}) for le in ("0.01", "0.05", "10.0", "+Inf")]
    assert buckets == [0, 1, 2, 2]
    assert value("millrace_job_wait_seconds_bucket", {**lane, "le": "0.5"}) == 2
    assert value("millrace_job_attempts_total", {**lane, "outcome": "returned"}) == 1
    assert value("millrace_job_attempts_total", {"queue": "media", "name": "b", "outcome": "lost"}) == 1


def test_tenants_are_told_apart_where_the_setting_says_so() -> None:
    metrics = Metrics(tenants=True)
    metrics.times.count(ended("a", tenant="zeta"))
    lane = {"tenant": "zeta", "queue": "media", "name": "a"}
    assert metrics.registry.get_sample_value("millrace_job_wait_seconds_count", lane) == 1
    assert 'tenant="' not in Metrics().text().decode()


def test_names_beyond_the_bound_go_together_and_nobody_changes_labels() -> None:
    times = JobTimes(most=2)
    for name in ("a", "b", "c", "d", "d", "a"):
        times.count(ended(name))
    attempts = list(times.collect())[-1]
    assert {(sample.labels["name"], sample.value) for sample in attempts.samples} == {("a", 2), ("b", 1), (OTHER, 3)}
