"""Chains, groups and chords: each task is a job that comes after those it gets results from."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.contrib.celery import Celery, NotSupported, Task, chain, chord, group
from millrace.testing import MillraceTest


@pytest.fixture
def add(app: Celery) -> Any:
    @app.task(name="add")
    def add(x: int, y: int = 0) -> int:
        return x + y

    return add


@pytest.fixture
def total(app: Celery) -> Any:
    @app.task(name="total")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    return total


@pytest.fixture
def fail(app: Celery) -> Any:
    @app.task(name="fail")
    def fail(x: int = 0) -> int:
        raise ValueError(f"not {x}")

    return fail


def test_each_task_of_a_chain_gets_the_result_of_the_one_before(add: Task, service: MillraceTest) -> None:
    result = chain(add.s(1, 2), add.s(10), add.s(y=100)).delay()
    assert result.get() == 113
    assert (result.parent.get(), result.parent.parent.get()) == (13, 3)
    assert (add.s(1, 2) | add.s(10) | add.si(5, 5)).delay().get() == 10


def test_a_group_gives_all_results_in_order(add: Task, service: MillraceTest) -> None:
    result = group(add.s(n, n) for n in range(4)).delay()
    assert (result.get(), len(result), result[1].get()) == ([0, 2, 4, 6], 4, 2)
    assert (result.ready(), result.successful(), result.failed(), result.completed_count()) == (True, True, False, 4)


def test_the_body_of_a_chord_gets_the_list(add: Task, total: Task, service: MillraceTest) -> None:
    assert chord(add.s(n, n) for n in range(4))(total.s()).get() == 12
    assert chord([add.s(7)], total.s()).delay().get() == 7
    assert chain(add.s(1), group(add.s(1), add.s(2)), total.s(), add.s(100)).delay().get() == 105
    assert chain(group(chain(add.s(1), add.s(1)), add.s(5)), total.s()).delay().get() == 7


def test_what_comes_after_a_failure_is_revoked_and_names_it(
    add: Task, total: Task, fail: Task, service: MillraceTest
) -> None:
    result = chain(add.s(3), fail.s(), add.s(1)).delay()
    with pytest.raises(ValueError, match="not 3"):
        result.get()
    assert (result.state, result.parent.state, result.parent.parent.state) == ("REVOKED", "FAILURE", "SUCCESS")
    with pytest.raises(ValueError, match="not 4"):
        chord([add.s(1), fail.s(4)])(total.s()).get()


def test_callbacks_run_with_the_result(app: Celery, add: Task, service: MillraceTest) -> None:
    noted: list[int] = []

    @app.task
    def note(result: int, times: int = 1) -> None:
        noted.append(result * times)

    add.apply_async((1, 2), link=note.s())
    add.apply_async((1, 2), link=[note.s(times=2), note.si(5)])
    add.s(4, 4).link(note.s()).delay()
    assert noted == [3, 6, 5, 8]


async def test_parents_are_dependencies_that_millrace_shows(add: Task, total: Task, service: MillraceTest) -> None:
    result = chord(add.s(n) for n in range(3))(total.s())
    graph = await service.jobs.graph(result.id)
    assert {link.parent for link in graph.links} == {leaf.id for leaf in result.parent.leaves()}


def test_signatures_are_values(app: Celery, add: Task, service: MillraceTest) -> None:
    signature = add.s(1)
    assert signature.set(queue="media").options.queue == "media"
    assert signature.options.queue is None
    assert signature(5) == 6
    assert signature.delay(5).get() == 6
    assert signature.set(queue="media").delay().job.queue == "media"
    assert app.signature("add", (2, 3)).delay().get() == 5
    assert app.send_task("add", kwargs={"x": 1}).get() == 1


def test_what_cannot_be_put_together_is_refused(add: Task, service: MillraceTest) -> None:
    with pytest.raises(TypeError, match="signatures"):
        chain(add.s(1), 3)
    with pytest.raises(ValueError, match="at least one"):
        group([])
    with pytest.raises(TypeError, match="body"):
        chord([add.s(1)]).apply_async()
    with pytest.raises(NotSupported, match="set them at the tasks"):
        group(add.s(1)).apply_async(countdown=3)
    with pytest.raises(NotSupported, match="on_fail"):
        add.s(1).on_error(add.s(2))


def test_a_large_result_is_passed_on_whole(app: Celery, service: MillraceTest) -> None:
    @app.task(name="export")
    def export() -> str:
        return "x" * 1_200_000

    @app.task(name="count")
    def count(text: str) -> int:
        return len(text)

    result = chain(export.s(), count.s()).delay()
    assert result.get() == 1_200_000
    assert len(result.parent.result) == 1_200_000
