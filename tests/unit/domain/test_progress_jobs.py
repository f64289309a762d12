"""Given what a progress was told of its batch's jobs, when they are counted again, then these events follow."""

from __future__ import annotations

from typing import Any

from hypothesis import given as drawn
from hypothesis import strategies as st

from domain import progress_events as events
from domain.progress import Progress
from domain.progress_jobs import JobCounts, count_jobs, rule_of_jobs
from tests.unit.domain.test_progress import KIN, STREAM, created, given, later


def tally(total: int, completed: int = 0, failed: int = 0, cancelled: int = 0, **more: Any) -> JobCounts:
    open_ = total - completed - failed - cancelled
    said = {"is_sealed": True, "is_cancelled": False, "as_of": 100} | more
    return JobCounts(total, open_, completed, failed, cancelled, **said)


def counting(counts: JobCounts, at: float) -> Any:
    return lambda it: count_jobs(it, counts, later(at))


def counted(version: int, counts: JobCounts, percent: float, at: float, **more: Any) -> events.JobsCounted:
    said = {"status": "processing", "rate": None, "expected": None} | more
    children = counts.children(said.pop("expected"))
    return events.JobsCounted(
        STREAM, version, later(at), **KIN, progress=percent, children=children, as_of=counts.as_of, **said
    )


BATCH = created(stages=[], children=rule_of_jobs(None))


def test_the_percent_begins_when_it_is_known_how_many_jobs_there_are() -> None:
    adding = tally(4, completed=3, is_sealed=False)
    given(BATCH).when(counting(adding, 2)).then(counted(2, adding, 0.0, 2))
    sealed = tally(4, completed=3, as_of=101)
    given(BATCH, counted(2, adding, 0.0, 2)).when(counting(sealed, 4)).then(counted(3, sealed, 75.0, 4, rate=37.5))
    announced = created(stages=[], children=rule_of_jobs(8))
    given(announced).when(counting(adding, 2)).then(counted(2, adding, 37.5, 2, expected=8))


def test_what_is_counted_again_or_is_older_changes_nothing() -> None:
    newer = counted(2, tally(4, completed=2, as_of=200), 50.0, 2)
    given(BATCH, newer).when(counting(tally(4, completed=2, as_of=300), 3)).nothing()
    given(BATCH, newer).when(counting(tally(4, completed=1, failed=1, as_of=199), 3)).nothing()
    given(created(stages=[], children={"mode": "count", "expected": None})).when(counting(tally(4), 3)).nothing()


def test_it_ends_with_the_jobs_and_goes_on_when_one_is_retried() -> None:
    lost = tally(2, completed=1, failed=1)
    detail = {"type": "ChildrenFailed", "message": "1 of 2 jobs did not complete"}
    failed = events.Failed(
        STREAM, 3, later(2), **KIN, status="failed", progress=50.0, error=detail["message"], error_detail=detail
    )
    given(BATCH).when(counting(lost, 2)).then(counted(2, lost, 50.0, 2), failed)
    retried = tally(2, completed=1, as_of=101)
    resumed = events.Resumed(STREAM, 4, later(6), **KIN, status="processing", progress=50.0, checkpoint=None)
    story = (BATCH, counted(2, lost, 50.0, 2), failed)
    given(*story).when(counting(retried, 6)).then(resumed, counted(5, retried, 50.0, 6))
    done = tally(2, completed=2, as_of=102)
    given(*story, resumed, counted(5, retried, 50.0, 6)).when(counting(done, 8)).then(
        counted(6, done, 100.0, 8, rate=25.0),
        events.Completed(STREAM, 7, later(8), **KIN, status="completed", progress=100.0, result=None),
    )


def test_with_its_batch_it_is_cancelled_once_no_job_runs_any_more() -> None:
    running = tally(2, completed=1, is_cancelled=True)
    given(BATCH).when(counting(running, 2)).then(counted(2, running, 50.0, 2))
    gone = tally(2, completed=1, cancelled=1, is_cancelled=True, as_of=101)
    given(BATCH, counted(2, running, 50.0, 2)).when(counting(gone, 3)).then(
        counted(3, gone, 50.0, 3, rate=50.0),
        events.Cancelled(
            STREAM, 4, later(3), **KIN, status="cancelled", progress=50.0, reason="its batch was cancelled"
        ),
    )


def test_a_batch_without_jobs_completes_when_it_is_sealed() -> None:
    given(BATCH).when(counting(tally(0), 2)).then(
        events.Completed(STREAM, 2, later(2), **KIN, status="completed", progress=100.0, result=None)
    )


STEPS = st.lists(st.tuples(st.sampled_from(["add", "complete", "fail", "retry", "cancel", "seal"]), st.integers(0, 3)))


@drawn(STEPS, st.sampled_from([None, 5, 50]), st.randoms())
def test_however_the_counts_arrive_it_never_falls_and_ends_where_the_newest_lead(
    steps: list[tuple[str, int]], expected: int | None, random: Any
) -> None:
    total = completed = failed = cancelled = 0
    sealed = False
    tallies = []
    for as_of, (what, _) in enumerate(steps, 1):
        open_ = total - completed - failed - cancelled
        total += what == "add" and not sealed
        completed += what == "complete" and open_ > 0
        failed += (what == "fail" and open_ > 0) - (what == "retry" and failed > 0)
        cancelled += what == "cancel" and open_ > 0
        sealed = sealed or what == "seal"
        tallies.append(tally(total, completed, failed, cancelled, is_sealed=sealed, as_of=as_of))
    # Each is told, some twice, some late; the newest is told in the end.
    told = [counts for (_, times), counts in zip(steps, tallies, strict=True) for counts in [counts] * times]
    random.shuffle(told)
    progress = Progress.create(STREAM, later(0), **_options(expected))
    percents = [0.0]
    for counts in [*told, *tallies[-1:]]:
        count_jobs(progress, counts, later(1))
        percents.append(progress.progress)
    assert percents == sorted(percents)
    if not tallies or progress.status in ("completed", "cancelled"):
        return
    last = tallies[-1]
    shown = progress.to_wire()["children"]
    assert (shown["total"], shown["open"], shown["failed"]) == (last.total, last.open, last.failed)
    ended = last.is_sealed and last.open == 0
    assert progress.status == ("failed" if ended else "processing" if last.total else "pending")


def _options(expected: int | None) -> dict[str, Any]:
    return {
        **KIN, "type": None, "metadata": {}, "user_id": None, "stall_after": None, "stages": [],
        "children": rule_of_jobs(expected),
    }  # fmt: skip
