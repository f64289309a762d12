"""The rules of a progress: it only moves forward, whatever it is told and in whatever order."""

from __future__ import annotations

from typing import Any

import pytest

from domain import progress_events as events
from domain.aggregate import Event
from domain.progress import Progress
from domain.progress_children import hear_child
from domain.progress_errors import (
    ComputedFromChildren,
    NoStages,
    NoSuchProgress,
    NotFurther,
    ProgressEnded,
    ProgressExists,
    UnknownStage,
)
from domain.progress_samples import Reached, Window, weigh
from tests.controls.clock import NOW, later
from tests.support.spec import given, replayed

STREAM = "progress:acme:file-1"
KIN: dict[str, Any] = {"parent_id": None, "weight": 1.0}
STAGES = [{"name": "upload", "weight": 1.0}, {"name": "index", "weight": 3.0}]


def options(**changed: Any) -> dict[str, Any]:
    return {
        **KIN, "type": None, "stages": STAGES, "metadata": {"n": 1}, "user_id": "kim", "children": None,
        "stall_after": None,
    } | changed  # fmt: skip


def created(**changed: Any) -> Event:
    return events.Created(STREAM, 1, NOW, status="pending", progress=0.0, **options(**changed))


def changed(version: int, stage: str, percent: float, overall: float, **more: Any) -> Event:
    told = {"before": None, "rate": None, "seq": None} | more
    return events.StageChanged(
        STREAM, version, later(version), **KIN, status="processing", progress=overall, stage=stage,
        stage_progress=percent, **told,
    )  # fmt: skip


def updated(version: int, overall: float) -> Event:
    """An update of work without stages."""
    return events.Updated(
        STREAM, version, later(version), **KIN, status="processing", progress=overall, stage=None,
        stage_progress=None, rate=None, seq=None,
    )  # fmt: skip


BEGUN = (created(), changed(2, "upload", 50.0, 12.5))
FAILED = events.Failed(STREAM, 3, later(3), **KIN, status="failed", progress=12.5, error="disk full", error_detail=None)


def updating(percent: float, stage: str | None = None, at: float = 9) -> Any:
    def update(it: Progress) -> None:
        it.update(it.reach(percent, stage), None, later(at))

    return update


def test_a_progress_begins_with_what_it_was_given() -> None:
    it = given().when(lambda _: Progress.create(STREAM, NOW, **options())).then(created())
    assert (it.to_wire()["status"], it.to_wire()["stage"], it.to_wire()["progress"]) == ("pending", None, 0.0)


def test_creating_it_again_changes_nothing_unless_the_options_differ() -> None:
    given(*BEGUN).when(lambda it: it.create_again("file-1", NOW, **options())).nothing()
    given(*BEGUN).when(lambda it: it.create_again("file-1", NOW, **options(user_id="lou"))).refused(ProgressExists)
    gone = (*BEGUN, events.Removed(STREAM, 3, later(3), reason=None))
    anew = events.Created(STREAM, 4, later(9), status="pending", progress=0.0, **options(user_id="lou"))
    it = given(*gone).when(lambda it: it.create_again("file-1", later(9), **options(user_id="lou"))).then(anew)
    assert (it.to_wire()["progress"], it.to_wire()["stage"], it.to_wire()["created_at"]) == (0.0, None, later(9))


def test_naming_a_later_stage_completes_those_before() -> None:
    event = changed(3, "index", 20.0, 40.0, before="upload", rate=(40.0 / 7))
    it = (
        given(*BEGUN).when(updating(20.0, "index")).then(events.StageChanged(**(vars(event) | {"timestamp": later(9)})))
    )
    assert [(stage["status"], stage["progress"]) for stage in it.to_wire()["stages"]] == [
        ("completed", 100.0),
        ("processing", 20.0),
    ]


@pytest.mark.parametrize(
    ("percent", "stage", "expected"),
    [
        (60.0, None, Reached("upload", 60.0, 15.0, False, True)),
        (50.0, "upload", Reached("upload", 50.0, 12.5, False, False)),
        (40.0, "upload", Reached("upload", 50.0, 12.5, False, False)),
        (100.0, "upload", Reached("upload", 100.0, 25.0, True, True)),
        (0.0, "index", Reached("index", 0.0, 25.0, True, True)),
    ],
    ids=["further", "a duplicate", "late", "the end of a stage", "the next stage"],
)
def test_where_an_update_leads(percent: float, stage: str | None, expected: Reached) -> None:
    it = replayed(BEGUN)
    assert isinstance(it, Progress)
    assert it.reach(percent, stage) == expected


def test_an_update_of_a_completed_stage_leads_nowhere() -> None:
    it = replayed((*BEGUN, changed(3, "index", 20.0, 40.0, before="upload")))
    assert isinstance(it, Progress)
    assert it.reach(99.0, "upload") == Reached("index", 20.0, 40.0, False, False)


@pytest.mark.parametrize(
    ("percent", "seconds", "window", "outcome"),
    [
        (60.0, 0.9, Window(), "sampled"),
        (60.0, 1.0, Window(), "recorded"),
        (60.0, 5.0, Window(None, 5.0), "sampled"),
        (70.0, 0.1, Window(None, 5.0), "recorded"),
        (100.0, 0.1, Window(), "recorded"),
        (50.0, 5.0, Window(), "sampled"),
    ],
    ids=["too early", "after a second", "too little", "enough", "the end of a stage", "nothing new"],
)
def test_what_is_recorded_follows_from_the_last_event(
    percent: float, seconds: float, window: Window, outcome: str
) -> None:
    it = replayed(BEGUN)
    assert isinstance(it, Progress)
    assert weigh(it, it.reach(percent, None), later(2 + seconds), window) == outcome


def test_the_end_of_work_without_stages_is_recorded_at_once() -> None:
    it = replayed((created(stages=[]), updated(2, 50.0)))
    assert isinstance(it, Progress)
    assert weigh(it, it.reach(99.0, None), later(2), Window(600.0)) == "sampled"
    assert weigh(it, it.reach(100.0, None), later(2), Window(600.0)) == "recorded"


def test_a_sign_of_life_is_recorded_where_somebody_waits_for_it() -> None:
    it = replayed((created(stall_after=10.0), *BEGUN[1:]))
    assert isinstance(it, Progress)
    assert weigh(it, it.reach(50.0, None), later(6), Window()) == "sampled"
    assert weigh(it, it.reach(50.0, None), later(7), Window()) == "recorded"


def test_silence_is_noted_once_and_ended_by_the_next_update() -> None:
    history = (created(stall_after=10.0), *BEGUN[1:])
    given(*history).when(lambda it: it.stall(later(11))).nothing()
    stalled = events.Stalled(STREAM, 3, later(12), after=10.0, since=later(2))
    it = given(*history).when(lambda it: it.stall(later(12))).then(stalled)
    assert it.to_wire()["stalled_at"] == later(12)
    given(*history, stalled).when(lambda it: it.stall(later(99))).nothing()
    it = given(*history, stalled).when(updating(50.0, None, 20)).then(
        events.Updated(
            STREAM, 4, later(20), **KIN, status="processing", progress=12.5, stage="upload", stage_progress=50.0,
            rate=12.5 / 18, seq=None,
        )
    )  # fmt: skip
    assert it.to_wire()["stalled_at"] is None


def test_what_an_update_cannot_name() -> None:
    given(*BEGUN).when(lambda it: it.reach(1.0, "publish")).refused(UnknownStage)
    given(created(stages=[])).when(lambda it: it.reach(1.0, "upload")).refused(UnknownStage)
    given(created(stages=[], children={"mode": "mean", "expected": None})).when(lambda it: it.reach(1.0, None)).refused(
        ComputedFromChildren
    )
    given(*BEGUN, events.Removed(STREAM, 3, later(3), reason=None)).when(lambda it: it.reach(1.0, None)).refused(
        NoSuchProgress
    )


def test_advancing_goes_one_stage_further_and_ends_at_the_last() -> None:
    second = changed(3, "index", 0.0, 25.0, before="upload", rate=25.0 / 7)
    second = events.StageChanged(**(vars(second) | {"timestamp": later(9)}))
    given(*BEGUN).when(lambda it: it.advance(None, later(9))).then(second)
    given(*BEGUN).when(lambda it: it.advance("index", later(9))).then(second)
    given(*BEGUN, second).when(lambda it: it.advance("upload", later(9))).refused(NotFurther)
    last = events.Updated(
        STREAM, 4, later(12), **KIN, status="processing", progress=100.0, stage="index", stage_progress=100.0,
        rate=10.0, seq=None,
    )  # fmt: skip
    given(*BEGUN, second).when(lambda it: it.advance(None, later(12))).then(last)
    given(*BEGUN, second, last).when(lambda it: it.advance(None, later(13))).nothing()
    given(created(stages=[])).when(lambda it: it.advance(None, later(9))).refused(NoStages)


def test_it_ends_once_and_only_what_has_failed_or_was_cancelled_is_resumed() -> None:
    completed = events.Completed(STREAM, 3, later(9), **KIN, status="completed", progress=100.0, result=7)
    given(*BEGUN).when(lambda it: it.complete(7, later(9))).then(completed)
    given(*BEGUN, completed).when(lambda it: it.complete(8, later(10))).nothing()
    given(*BEGUN, completed).when(lambda it: it.fail("late", None, later(10))).refused(ProgressEnded)
    given(*BEGUN, completed).when(lambda it: it.resume(later(10))).refused(ProgressEnded)
    given(*BEGUN, FAILED).when(lambda it: it.complete(7, later(9))).refused(ProgressEnded)
    given(*BEGUN, FAILED).when(lambda it: it.fail("again", None, later(9))).nothing()
    resumed = events.Resumed(STREAM, 4, later(9), **KIN, status="processing", progress=12.5, checkpoint=None)
    it = given(*BEGUN, FAILED).when(lambda it: it.resume(later(9))).then(resumed)
    assert (it.to_wire()["error"], it.to_wire()["stages"][0]["status"]) == (None, "processing")
    given(*BEGUN, FAILED, resumed).when(lambda it: it.resume(later(10))).nothing()


def test_what_passed_before_a_new_attempt_does_not_count_into_the_rate() -> None:
    resumed = events.Resumed(STREAM, 3, later(600), **KIN, status="processing", progress=12.5, checkpoint=None)
    given(*BEGUN).when(lambda it: it.resume(later(600))).nothing()
    it = given(*BEGUN).when(lambda it: it.resume(later(600), new_attempt=True)).then(resumed)
    assert it.rate_at(37.5, later(610)) == 2.5
    given(created()).when(lambda it: it.resume(later(600), new_attempt=True)).nothing()


def test_an_ended_one_takes_no_update_and_keeps_quiet_about_it() -> None:
    it = replayed((*BEGUN, FAILED))
    assert isinstance(it, Progress)
    assert weigh(it, it.reach(99.0, "index"), later(99), Window()) == "sampled"
    given(*BEGUN, FAILED).when(lambda it: it.store_checkpoint({"row": 1}, later(9))).refused(ProgressEnded)


def test_only_what_has_ended_expires() -> None:
    given(*BEGUN).when(lambda it: it.expire(later(9))).nothing()
    given(*BEGUN, FAILED).when(lambda it: it.expire(later(9))).then(
        events.Removed(STREAM, 4, later(9), reason="retention")
    )


def heard(version: int, child: str, status: str, percent: float, overall: float, at: float, **more: Any) -> Event:
    told = {"child_weight": 1.0, "child_version": 1, "rate": None, "status": "processing"} | more
    return events.ChildReported(
        STREAM, version, later(at), **KIN, progress=overall, child_id=child, child_status=status,
        child_progress=percent, **told,
    )  # fmt: skip


def hearing(child: str, status: str, percent: float, version: int, at: float, weight: float = 1.0) -> Any:
    return lambda it: hear_child(it, child, weight, status, percent, version, later(at))


def test_a_parent_is_the_weighted_mean_of_those_that_were_announced() -> None:
    family = (created(stages=[], children={"mode": "mean", "expected": 2}), heard(2, "a", "processing", 50.0, 25.0, 2))
    given(family[0]).when(hearing("a", "processing", 50.0, 1, 2)).then(family[1])
    given(*family).when(hearing("a", "processing", 50.0, 2, 3)).nothing()
    given(*family).when(hearing("a", "processing", 40.0, 1, 3)).nothing()
    given(*family).when(hearing("b", "processing", 10.0, 1, 4, weight=3.0)).then(
        heard(3, "b", "processing", 10.0, 25.0, 4, child_weight=3.0, rate=25.0 / 2)
    )


def test_a_parent_ends_with_its_children_and_goes_on_when_one_is_retried() -> None:
    rule = {"mode": "count", "expected": 2}
    first = (created(stages=[], children=rule), heard(2, "a", "completed", 100.0, 50.0, 2))
    failing = heard(3, "b", "failed", 30.0, 50.0, 4, rate=25.0)
    detail = {"type": "ChildrenFailed", "message": "1 of 2 parts did not complete"}
    failed = events.Failed(
        STREAM, 4, later(4), **KIN, status="failed", progress=50.0, error=detail["message"], error_detail=detail
    )
    given(*first).when(hearing("b", "failed", 30.0, 5, 4)).then(
        events.ChildReported(**(vars(failing) | {"child_version": 5})), failed
    )
    resumed = events.Resumed(STREAM, 5, later(6), **KIN, status="processing", progress=50.0, checkpoint=None)
    again = heard(6, "b", "processing", 30.0, 50.0, 6, child_version=6)
    given(*first, failing, failed).when(hearing("b", "processing", 30.0, 6, 6)).then(resumed, again)
    given(*first, failing, failed, resumed, again).when(hearing("b", "completed", 100.0, 7, 8)).then(
        heard(7, "b", "completed", 100.0, 100.0, 8, child_version=7, rate=25.0),
        events.Completed(STREAM, 8, later(8), **KIN, status="completed", progress=100.0, result=None),
    )


def test_a_progress_that_does_not_follow_from_children_does_not_listen_to_any() -> None:
    given(*BEGUN).when(hearing("a", "completed", 100.0, 1, 4)).nothing()


def test_parts_of_each_other_do_not_tell_each_other_of_failing_without_end() -> None:
    rule = {"mode": "mean", "expected": 1}
    one = Progress.create(STREAM, later(0), **options(stages=[], children=rule, parent_id="b"))
    other = Progress.create(STREAM, later(0), **options(stages=[], children=rule, parent_id="a"))
    detail = {"type": "ChildrenFailed"}
    one.fail("x", detail, later(1))
    other.fail("x", detail, later(1))
    one.resume(later(2))
    told = [("a", each) for each in one.collect_events()] + [("b", each) for each in other.collect_events()]
    heard_of = 0
    while told and heard_of < 10_000:
        id, event = told.pop(0)
        if isinstance(event, events.Moved):
            heard_of += 1
            whole, name = (other, "b") if id == "a" else (one, "a")
            version = event.originator_version
            hear_child(whole, id, event.weight, event.status, event.progress, version, later(3))
            told += [(name, each) for each in whole.collect_events()]
    assert not told
