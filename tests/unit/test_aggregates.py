"""Aggregates in memory follow what is committed by other means than commands, also while they are being stored."""

from __future__ import annotations

from typing import Any

from domain.job import Job
from domain.job_events import Started
from domain.ports import Metadata, StreamName
from handlers.aggregates import Aggregates, Held
from tests.controls.clock import NOW

STREAM = StreamName("job", "acme", "11")


class NoStore:
    """A store that nobody may ask here."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the store was asked to {name}")


def new_job() -> Held:
    job = Job.enqueue(
        STREAM.text, NOW, name="transcribe", data={}, queue="default", priority=0, max_attempts=3, timeout=300,
        retry={"kind": "none"}, run_at=None,
    )  # fmt: skip
    job.collected()
    return Held(job, Metadata("acme"), 7)


def started(version: int = 2) -> Started:
    return Started(STREAM.text, version, NOW, attempt=version - 1, worker="w-5")


def kept(aggregates: Aggregates) -> Held | None:
    return aggregates.get(STREAM)


def test_a_start_that_is_told_before_the_new_job_is_kept_is_not_forgotten() -> None:
    aggregates = Aggregates(NoStore())  # type: ignore[arg-type]
    with aggregates.expecting([STREAM]):
        aggregates.advance(STREAM, started(), 8)
        aggregates.keep(STREAM, new_job())
    held = kept(aggregates)
    assert held is not None
    assert (held.aggregate.version, held.position) == (2, 8)


def test_a_start_of_a_kept_job_is_followed() -> None:
    aggregates = Aggregates(NoStore())  # type: ignore[arg-type]
    aggregates.keep(STREAM, new_job())
    aggregates.advance(STREAM, started(), 9)
    held = kept(aggregates)
    assert held is not None
    assert (held.aggregate.version, held.position) == (2, 9)


def test_a_start_that_leaves_a_gap_drops_the_job() -> None:
    aggregates = Aggregates(NoStore())  # type: ignore[arg-type]
    with aggregates.expecting([STREAM]):
        aggregates.advance(STREAM, started(3), 9)
        aggregates.keep(STREAM, new_job())
    assert kept(aggregates) is None


def test_a_start_that_the_loaded_job_contains_already_changes_nothing() -> None:
    """A command is repeated while its job, stored long ago, is granted and loaded."""
    aggregates = Aggregates(NoStore())  # type: ignore[arg-type]
    loaded = new_job()
    started().mutate(loaded.aggregate)
    with aggregates.expecting([STREAM]):
        aggregates.advance(STREAM, started(), 8)
        aggregates.keep(STREAM, loaded)
    held = kept(aggregates)
    assert held is not None
    assert held.aggregate.version == 2


def test_nothing_is_remembered_of_streams_that_nobody_stores() -> None:
    aggregates = Aggregates(NoStore())  # type: ignore[arg-type]
    aggregates.advance(STREAM, started(), 8)
    with aggregates.expecting([STREAM]):
        pass
    aggregates.keep(STREAM, new_job())
    held = kept(aggregates)
    assert held is not None
    assert held.aggregate.version == 1
