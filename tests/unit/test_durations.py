"""Histograms of how long jobs waited and ran."""

from __future__ import annotations

from millrace.contracts.durations import BOUNDS, Durations, durations, waited
from tests.controls.clock import NOW, later


def test_nothing_measured_has_no_quantile() -> None:
    assert Durations.model_validate(durations([])) == Durations()


def test_buckets_count_all_that_took_no_longer() -> None:
    made = Durations.model_validate(durations([0.01, 0.02, 2.0, 9_999.0]))
    assert [bucket.le for bucket in made.buckets] == [*BOUNDS, None]
    counts = {bucket.le: bucket.count for bucket in made.buckets}
    assert (counts[0.01], counts[0.05], counts[1.0], counts[5.0], counts[3_600.0], counts[None]) == (1, 2, 2, 3, 3, 4)


def test_quantiles_are_those_of_the_times() -> None:
    made = Durations.model_validate(durations([float(n) for n in range(100)]))
    assert (made.count, made.p50, made.p95, made.p99, made.longest) == (100, 50.0, 95.0, 99.0, 99.0)


def test_a_job_waits_from_when_it_could_run() -> None:
    assert waited(later(10), NOW, None) == 10
    assert waited(later(10), NOW, later(7)) == 3
    assert waited(later(10), later(9), later(7)) == 1


def test_clocks_that_differ_make_no_negative_time() -> None:
    assert durations([waited(NOW, NOW, later(1))])["longest"] == 0
