"""Every checker of traces, answers and deadlines catches the history that it is there for."""

from __future__ import annotations

from typing import Any

from tests.faults.harness import answers, deadlines, traces
from tests.faults.harness.traces import Seen, Trace


def event(
    number: int, kind: str, job: str = "a", version: int = 1, tenant: str = "north", **more: Any
) -> dict[str, Any]:
    return {
        "id": f"id-{number}", "position": f"e-{number}", "tenant": tenant, "source": "/millrace/job", "subject": job,
        "version": version, "eventtype": kind, "causationid": more.pop("cause", "other"), "data": more,
    }  # fmt: skip


LOG = [
    event(1, "job.enqueued", name="step", cause="c1"),
    event(2, "job.enqueued", "b", name="always-fails", cause="c2"),
    event(3, "job.started", version=2, attempt=1),
    event(4, "job.enqueued", "s", tenant="south", name="step"),
    event(5, "job.completed", version=3, attempt=1),
]
OWN = [Seen.of(LOG[index]) for index in (0, 1, 2, 4)]


def trace(*seen: Seen, exact: bool = True, whole: bool = True, ordered: bool = True) -> list[Trace]:
    return [Trace("follower", "north", exact, whole, ordered, list(seen))]


def test_a_good_trace_passes() -> None:
    assert traces.wrong_traces(trace(*OWN), LOG) == []
    assert traces.wrong_traces(trace(*OWN, OWN[0], exact=False), LOG) == []
    assert traces.wrong_traces(trace(*OWN[1:], whole=False), LOG) == []


def test_a_hole_a_repeat_an_inversion_and_a_stranger_are_caught() -> None:
    assert traces.wrong_traces(trace(*OWN[:1], *OWN[2:]), LOG)
    assert traces.wrong_traces(trace(*OWN, OWN[0]), LOG)
    assert traces.wrong_traces(trace(OWN[1], OWN[0], *OWN[2:]), LOG)
    assert traces.wrong_traces(trace(OWN[2], OWN[0], OWN[1], OWN[3], ordered=False), LOG), "versions of one stream"
    assert traces.wrong_traces(trace(*OWN, Seen("new", 6, "north", "x", 1, "job.enqueued")), LOG)


def test_another_tenants_event_is_caught() -> None:
    assert traces.foreign_events(trace(*OWN)) == []
    assert traces.foreign_events(trace(*OWN, Seen.of(LOG[3])))


def test_an_answer_whose_position_is_not_the_commands_own_is_caught() -> None:
    good = {"command": "c1", "job_id": "a", "name": "job.enqueue", "position": "e-1"}
    assert answers.unexplained_answers([good], LOG) == []  # type: ignore[list-item]
    assert answers.unexplained_answers([{**good, "position": "e-2"}], LOG)  # type: ignore[list-item]
    assert answers.unexplained_answers([{**good, "position": "e-9"}], LOG)  # type: ignore[list-item]


def test_a_refusal_that_nothing_explains_is_caught() -> None:
    refusal = {"command": "c", "job_id": "a", "name": "job.cancel", "code": "refused"}
    assert answers.unexplained_refusals([refusal], LOG) == []  # type: ignore[list-item]
    assert answers.unexplained_refusals([{**refusal, "job_id": "b"}], LOG)  # type: ignore[list-item]


def test_a_read_older_than_its_position_and_one_of_a_state_that_never_was_are_caught() -> None:
    read = {"tenant": "north", "job_id": "a", "min_position": "e-3", "status": "processing", "attempts": 1}
    assert answers.stale_reads([read, {**read, "status": "completed"}], LOG) == []  # type: ignore[list-item]
    assert answers.stale_reads([{**read, "status": "pending", "attempts": 0}], LOG)  # type: ignore[list-item]
    assert answers.stale_reads([{**read, "status": None, "attempts": 0}], LOG)  # type: ignore[list-item]
    assert answers.stale_reads([{**read, "attempts": 2}], LOG)  # type: ignore[list-item]


def test_a_job_whose_time_has_come_may_be_read_as_pending_and_as_nothing_else() -> None:
    log = [event(1, "job.enqueued", "d", name="step", run_at="2026-01-01T00:00:00Z")]
    read = {"tenant": "north", "job_id": "d", "min_position": "e-1", "status": "delayed", "attempts": 0}
    assert answers.stale_reads([read, {**read, "status": "pending"}], log) == []  # type: ignore[list-item]
    assert answers.stale_reads([{**read, "status": "processing"}], log)  # type: ignore[list-item]
    assert answers.stale_reads([{**read, "status": "pending", "attempts": 1}], log)  # type: ignore[list-item]


def test_a_command_without_an_answer_and_one_with_two_are_caught() -> None:
    first = {"command": "c1", "job_id": "a", "position": "e-1"}
    assert answers.unresolved(["c1"], ["c1"], [first, first], []) == []  # type: ignore[list-item]
    assert answers.unresolved(["c1", "c2"], [], [first], [])  # type: ignore[list-item]
    assert answers.unresolved(["c1"], ["c1"], [first, {**first, "position": "e-2"}], [])  # type: ignore[list-item]


def test_a_row_that_is_not_what_the_log_says_is_caught() -> None:
    rows = [{"id": "a", "version": 3, "status": "completed", "attempts": 1},
            {"id": "b", "version": 1, "status": "pending", "attempts": 0},
            {"id": "s", "version": 1, "status": "pending", "attempts": 0}]  # fmt: skip
    assert answers.unlike_a_replay(rows, LOG, 5) == []
    assert answers.unlike_a_replay(rows[1:], LOG, 5)
    assert answers.unlike_a_replay([{**rows[0], "attempts": 2}, *rows[1:]], LOG, 5)
    assert answers.unlike_a_replay(rows, LOG, 4)


def test_an_answer_that_takes_too_long_is_caught_unless_its_service_was_the_victim() -> None:
    slow = {"server": "service-1", "at": 100.0, "took": deadlines.ANSWER_SECONDS + 1, "status": 503}
    victim = {"kind": "service.freeze", "at": 101.0, "seconds": 2.0}
    assert deadlines.hung([{**slow, "took": 1.0}], {}) == []  # type: ignore[list-item]
    assert deadlines.hung([slow], {"service-1": [victim]}) == []  # type: ignore[list-item]
    assert deadlines.hung([slow], {})  # type: ignore[list-item]
    assert deadlines.hung([slow], {"service-1": [{**victim, "at": 300.0}]})  # type: ignore[list-item]


def test_an_innocent_among_the_dead_letters_and_poison_that_completes_are_caught() -> None:
    poison = frozenset({"always-fails"})
    buried = event(6, "job.dead_lettered", "b", 2)
    assert deadlines.innocents_buried([*LOG, buried], poison) == []
    assert deadlines.innocents_buried([*LOG, {**buried, "subject": "a"}], poison)
    assert deadlines.poison_completed(LOG, poison) == []
    assert deadlines.poison_completed([*LOG, event(6, "job.completed", "b", 2)], poison)
