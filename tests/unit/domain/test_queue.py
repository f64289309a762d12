"""The rules of a queue, and of changing a job that waits in it."""

from __future__ import annotations

from typing import Any

from domain import queue
from domain.errors import JobEnded, JobRunning
from domain.job_change import Changed, Changes, change
from domain.queue import DEFAULTS, Queue
from projections.queue import limits_of, rules_of
from projections.work import changed_work_of, work_of
from tests.controls.clock import NOW, later
from tests.controls.jobs import STREAM as JOB
from tests.controls.jobs import cancelled, completed, enqueued, started, wish
from tests.support.spec import given
from tests.unit.test_work import ORIGIN

STREAM = "queue:acme:media"
OPENED = queue.Opened(STREAM, 1, NOW, "media")
PAUSED = queue.Paused(STREAM, 2, later(1), reason="disk full")
RATE = {"limit": 3, "period": 1.5, "burst": 4}
SETTINGS: dict[str, Any] = {**DEFAULTS, "order": "aging", "aging": 2.5, "concurrency": 7, "rate": RATE}


def test_a_queue_is_paused_and_resumed() -> None:
    queue_ = given(OPENED).when(lambda it: it.pause("disk full", later(1))).then(PAUSED)
    assert queue_.to_wire() == {"name": "media", "paused": True}
    given(OPENED, PAUSED).when(lambda it: it.resume(later(2))).then(queue.Resumed(STREAM, 3, later(2)))


def test_pausing_or_resuming_again_changes_nothing() -> None:
    given(OPENED, PAUSED).when(lambda it: it.pause("again", later(2))).nothing()
    given(OPENED).when(lambda it: it.resume(later(2))).nothing()


def test_a_queue_opens_with_the_first_command() -> None:
    given().when(lambda _: Queue.open(STREAM, NOW, "media")).then(OPENED)


def test_settings_are_recorded_as_a_whole() -> None:
    configured = queue.Configured(STREAM, 2, later(1), **SETTINGS)
    queue_ = given(OPENED).when(lambda it: it.configure(SETTINGS, later(1))).then(configured)
    assert queue_.to_wire() == {"name": "media", "paused": False, **SETTINGS}
    given(OPENED, configured).when(lambda it: it.configure(dict(SETTINGS), later(2))).nothing()


def test_slots_are_taken_of_the_key_then_of_the_name_then_of_the_queue() -> None:
    settings = {
        **SETTINGS,
        "per_name": {"b": {"concurrency": 2, "rate": None}, "a": {"concurrency": None, "rate": RATE}, "c": {}},
        "per_key": {"concurrency": 1, "rate": None},
    }
    limits = limits_of(settings)
    assert [(limit["stage"], limit["name"]) for limit in limits] == [(1, ""), (2, "a"), (2, "b"), (3, "")]
    assert [(limit["concurrency"], limit["spacing"], limit["burst"]) for limit in limits] == [
        (1, None, None), (None, 0.5, 4), (2, None, None), (7, 0.5, 4),
    ]  # fmt: skip
    assert limits_of(DEFAULTS) == []


def test_the_claims_go_by_the_file_until_the_queue_is_configured() -> None:
    files = {"media": {"concurrency": 9}}
    paused = Queue.replayed([OPENED, PAUSED])
    assert paused is not None
    work = rules_of(files, paused, None, ORIGIN)
    assert (work.place, work.queue) == ("rules", "media")
    assert '"paused":true' in work.task
    assert '"concurrency":9' in work.task
    assert '"from_file":true' in work.task
    configured = Queue.replayed([OPENED, queue.Configured(STREAM, 2, NOW, **SETTINGS)])
    assert configured is not None
    assert '"concurrency":7' in rules_of(files, configured, None, ORIGIN).task


def changed(version: int, *names: str, **values: Any) -> Changed:
    settings = {name: wish()[name] for name in ("priority", "queue_priority", "queue", "run_at", "data")} | values
    status = "pending" if settings["run_at"] is None else "delayed"
    return Changed(JOB, version, later(5), changed=list(names), **{"status": status, **settings})


def test_a_waiting_job_gets_what_is_wished_and_keeps_the_rest() -> None:
    wanted: Changes = {"priority": -3, "queue": "other", "queue_priority": 0}
    event = changed(2, "priority", "queue", priority=-3, queue="other", queue_priority=0)
    job_ = given(enqueued()).when(lambda it: change(it, wanted, later(5))).then(event)
    assert (job_.to_wire()["priority"], job_.to_wire()["queue"]) == (-3, "other")


def test_a_job_is_put_off_and_called_up() -> None:
    due = later(99)
    put_off = given(enqueued()).when(lambda it: change(it, {"run_at": due}, later(5)))
    assert put_off.then(changed(2, "run_at", run_at=due)).to_wire()["status"] == "delayed"
    called_up = given(enqueued(run_at=due)).when(lambda it: change(it, {"run_at": later(5)}, later(5)))
    assert called_up.then(changed(2, "run_at")).to_wire()["status"] == "pending"


def test_a_job_that_comes_after_others_stays_delayed_whatever_its_time() -> None:
    event = changed(2, "priority", priority=1, status="delayed")
    given(enqueued(after=["10"])).when(lambda it: change(it, {"priority": 1}, later(5))).then(event)


def test_the_same_settings_change_nothing() -> None:
    given(enqueued()).when(lambda it: change(it, {"priority": 7, "data": wish()["data"]}, later(5))).nothing()


def test_only_a_waiting_job_is_changed() -> None:
    def decide(it: Any) -> None:
        change(it, {"priority": 1}, later(5))

    given(enqueued(), started(2)).when(decide).refused(JobRunning)
    given(enqueued(), started(2), completed(3)).when(decide).refused(JobEnded)
    given(enqueued(), cancelled(2)).when(decide).refused(JobEnded)


def test_other_arguments_alone_leave_the_job_where_it_stands() -> None:
    job_ = (
        given(enqueued())
        .when(lambda it: change(it, {"data": {"n": 1}}, later(5)))
        .then(changed(2, "data", data={"n": 1}))
    )
    work = changed_work_of(job_, "pending", ORIGIN)  # type: ignore[arg-type]
    assert (work.place, work.leaves) == ("same", ())
    assert '"data":{"n":1}' in work.task
    moved = (
        given(enqueued())
        .when(lambda it: change(it, {"priority": 1}, later(5)))
        .then(changed(2, "priority", priority=1))
    )
    assert changed_work_of(moved, "pending", ORIGIN) == work_of(moved, "pending", ORIGIN)  # type: ignore[arg-type]
