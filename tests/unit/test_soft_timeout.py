"""The soft limit is an exception where a coroutine waits; all other cancellations stay what they are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace.errors import SoftTimeout
from millrace.worker_soft_timeout import SoftLimited, interrupt


async def limited(work: Any) -> Any:
    return await SoftLimited(work, 5)


async def begun(task: asyncio.Task[Any], started: asyncio.Event) -> asyncio.Task[Any]:
    await asyncio.wait_for(started.wait(), 30)
    return task


async def test_it_is_raised_where_the_coroutine_waits_and_is_no_cancellation() -> None:
    started = asyncio.Event()

    async def work() -> tuple[str, int]:
        started.set()
        try:
            await asyncio.Event().wait()
        except SoftTimeout as error:
            task = asyncio.current_task()
            assert task is not None
            return str(error), task.cancelling()
        raise AssertionError

    task = await begun(asyncio.create_task(limited(work())), started)
    interrupt(task)
    text, cancelling = await task
    assert ("5 s" in text, cancelling) == (True, 0)


async def test_it_passes_through_task_groups_and_inner_timeouts() -> None:
    started, cleaned = asyncio.Event(), asyncio.Event()

    async def child() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async def work() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.Event().wait()

    task = await begun(asyncio.create_task(limited(work())), started)
    interrupt(task)
    with pytest.raises(BaseExceptionGroup) as caught:
        await task
    assert isinstance(caught.value.exceptions[0], SoftTimeout)
    assert cleaned.is_set()


async def test_a_cancellation_stays_one_before_and_after() -> None:
    started = asyncio.Event()

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        except SoftTimeout:
            started.set()
            await asyncio.Event().wait()

    task = await begun(asyncio.create_task(limited(work())), started)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    started.clear()
    task = await begun(asyncio.create_task(limited(work())), started)
    started.clear()
    interrupt(task)
    await begun(task, started)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_inner_timeout_stays_a_timeout() -> None:
    async def work() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await limited(work())
