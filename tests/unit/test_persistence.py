"""Loops that go on whatever their dependencies do, and end when they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.ports import StoreUnavailable
from handlers.persistence import end, persistently

GONE = StoreUnavailable("PostgreSQL is gone")


def failing_once(error: BaseException, again: asyncio.Event) -> Callable[[], Coroutine[Any, Any, None]]:
    errors = [error]

    async def run() -> None:
        if errors:
            raise errors.pop()
        again.set()
        await asyncio.Event().wait()

    return run


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (GONE, "loop_paused"),
        (ExceptionGroup("tasks", [GONE, ExceptionGroup("more of them", [TimeoutError()])]), "loop_paused"),
        (ExceptionGroup("tasks", [GONE, ValueError("a fault")]), "loop_failed"),
        (ValueError("a fault"), "loop_failed"),
    ],
)
async def test_a_loop_that_failed_runs_again_and_says_whose_fault_it_was(error: Exception, action: str) -> None:
    again = asyncio.Event()
    with capture_logs() as logs:
        loop = asyncio.create_task(persistently("thing", failing_once(error, again), pause=0))
        async with asyncio.timeout(10):
            await again.wait()
        loop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loop
    assert [(entry["action"], entry["loop"]) for entry in logs] == [(action, "thing")]


async def test_a_group_whose_task_fails_after_its_body_runs_again() -> None:
    """Python 3.11 leaves the task of such a group as one that somebody wants to cancel."""
    runs, often = 0, asyncio.Event()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise GONE

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            often.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    loop = asyncio.create_task(persistently("thing", run, pause=0))
    async with asyncio.timeout(10):
        await often.wait()
    await end(loop)


async def test_a_run_that_ends_as_cancelled_although_nobody_cancelled_it_runs_again() -> None:
    again = asyncio.Event()
    loop = asyncio.create_task(persistently("thing", failing_once(asyncio.CancelledError(), again), pause=0))
    async with asyncio.timeout(10):
        await again.wait()
    await end(loop)


async def hide_the_cancellation() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise GONE


async def sleep_through_the_first_cancellation() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


@pytest.mark.parametrize("run", [hide_the_cancellation, sleep_through_the_first_cancellation])
async def test_a_loop_that_is_cancelled_ends_whatever_it_makes_of_that(
    run: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    loop = asyncio.create_task(persistently("thing", run, pause=0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    loop.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await loop


@pytest.mark.parametrize("run", [hide_the_cancellation, sleep_through_the_first_cancellation])
async def test_a_loop_within_a_loop_leaves_nothing_behind(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    inner = asyncio.Event()

    async def begin() -> None:
        inner.set()
        await run()

    loop = asyncio.create_task(persistently("outer", lambda: persistently("inner", begin, pause=0), pause=0))
    await inner.wait()
    loop.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await loop
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("run of")] == []
