"""The adapters keep what Millrace asks of them. MILLRACE_URL is a running service, `http://…`."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator

import pytest

from millrace.serializers import Serializer, serializer_of
from millrace.testing.contracts.bench import ServiceBench
from millrace.testing.contracts.client_suite import ClientSuite
from millrace.testing.contracts.serializer import SerializerContract


class TestTransport(ClientSuite):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[ServiceBench]:
        # A tenant for each test: nobody else's jobs are in the way.
        bench = ServiceBench(f"std+{os.environ['MILLRACE_URL']}", f"t{uuid.uuid4().hex[:12]}")
        yield bench
        await bench.app.close()


class TestPacked(SerializerContract):
    @pytest.fixture
    def serializer(self) -> Serializer:
        return serializer_of("packed")
