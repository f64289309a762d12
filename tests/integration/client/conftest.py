from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from millrace import Millrace, Worker
from tests.support.wire_service import WireService, serving

Working = Callable[..., AbstractAsyncContextManager[Worker]]


@pytest.fixture
async def service() -> WireService:
    return WireService()


@pytest.fixture
async def app(service: WireService) -> AsyncIterator[Millrace]:
    async with serving(service) as url, Millrace(url, timeout=30.0) as app:
        yield app


@pytest.fixture
def working(app: Millrace) -> Working:
    @asynccontextmanager
    async def work(**options: Any) -> AsyncIterator[Worker]:
        worker = Worker(app, **options)
        task = asyncio.create_task(worker.run(signals=False))
        await worker.started.wait()
        try:
            yield worker
        finally:
            worker.stop()
            await task

    return work
