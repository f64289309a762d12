"""Loops that go on whatever their dependencies do, and end when they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from domain.ports import StoreUnavailable
from handlers.persistence import persistently

GONE = StoreUnavailable("PostgreSQL is gone")


def failing_once(error: Exception, again: asyncio.Event) -> Callable[[], Awaitable[None]]:
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


async def test_a_loop_that_fails_while_it_is_cancelled_ends() -> None:
    waiting = asyncio.Event()

    async def run() -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            raise GONE

    loop = asyncio.create_task(persistently("thing", run, pause=0))
    await waiting.wait()
    loop.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await loop
