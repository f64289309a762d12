"""The service keeps the client's contract, over HTTP and over RabbitMQ."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.settings import Settings
from millrace.testing.contracts.bench import ServiceBench
from millrace.testing.contracts.client_suite import ClientSuite
from tests.support.channels import Recorder
from tests.support.service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    database_url: str, rabbitmq_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    storage = {"path": str(tmp_path_factory.mktemp("objects"))}
    settings = Settings.model_validate({"rabbitmq_url": rabbitmq_url, "modules": {"jobs": {"storage": storage}}})
    channels = [Recorder("email"), Recorder("sms")]
    async with running_service(database_url, rabbitmq_url, settings, channels=channels) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module", params=["http", "amqp"])
async def bench(service: RunningService, request: pytest.FixtureRequest) -> AsyncIterator[ServiceBench]:
    url = service.http if request.param == "http" else service.amqp
    assert url is not None
    bench = ServiceBench(url, f"t{uuid.uuid4().hex[:12]}")
    yield bench
    await bench.app.close()


class TestService(ClientSuite):
    """On PostgreSQL, in the tests' own process; every test has a tenant of its own."""
