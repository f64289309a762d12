"""The in-memory application of `millrace.testing` keeps the client's contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from millrace.testing.contracts.bench import MemoryBench
from millrace.testing.contracts.client_suite import ClientSuite


@pytest.fixture
async def bench() -> AsyncIterator[MemoryBench]:
    bench = MemoryBench()
    yield bench
    await bench.app.close()


class TestInMemory(ClientSuite):
    """Without a server, on a clock that the tests move."""
