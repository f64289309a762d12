"""The contract of plug-ins of jobs: a good one keeps it in memory and on the service, and bad ones are caught."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from millrace import Job, JobPlugin, PluginUnusable
from millrace.testing.contracts.bench import MemoryBench, ServiceBench
from millrace.testing.contracts.job_plugin import JobPluginContract
from tests.support.service import RunningService, running_service


class Ledger(JobPlugin):
    """Notes once how each job ended."""

    name = "ledger"

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}

    async def on_complete(self, job: Job) -> None:
        self.ends[job.id] = f"{job.name} of {len(job.data)}: {job.result!r}"

    def on_job_fail(self, job: Job) -> None:
        self.ends[job.id] = f"{job.name}: {job.error}"


class Adding(JobPlugin):
    """Counts in a table that refuses a job's second row."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()

    def on_complete(self, job: Job) -> None:
        self.rows[job.id] += 1
        if self.rows[job.id] > 1:
            raise ValueError(f"there is a row for {job.id}")


class Narrow(JobPlugin):
    def on_enqueue(self, job: Job) -> None:
        job.data["größe"].append(1)


class Tidy(JobPlugin):
    def on_start(self, job: Job) -> None:
        job.data.clear()


class Idle(JobPlugin): ...


class TestInMemory(JobPluginContract):
    @pytest.fixture
    def plugin(self) -> JobPlugin:
        return Ledger()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(database_url: str, rabbitmq_url: str) -> AsyncIterator[RunningService]:
    async with running_service(database_url, rabbitmq_url) as service:
        yield service


@pytest.mark.asyncio(loop_scope="module")
class TestOnTheService(JobPluginContract):
    @pytest.fixture
    def plugin(self) -> JobPlugin:
        return Ledger()

    @pytest_asyncio.fixture(loop_scope="module", params=["http", "amqp"])
    async def bench(self, service: RunningService, request: pytest.FixtureRequest) -> AsyncIterator[ServiceBench]:
        url = service.http if request.param == "http" else service.amqp
        assert url is not None
        bench = ServiceBench(url, f"t{uuid.uuid4().hex[:12]}")
        yield bench
        await bench.app.close()


@pytest.mark.parametrize(
    ("plugin", "test"),
    [
        (Adding(), "test_what_is_told_twice_and_late_does_no_harm"),
        (Narrow(), "test_no_hook_fails_whatever_the_job_is"),
        (Tidy(), "test_jobs_that_it_was_told_of_are_left_as_they_were"),
        (Idle(), "test_it_has_hooks_and_a_name_to_keep_its_place_under"),
    ],
)
async def test_a_plug_in_that_breaks_the_contract_is_caught(plugin: JobPlugin, test: str) -> None:
    bench = MemoryBench()
    try:
        with pytest.raises((AssertionError, PluginUnusable)):
            await getattr(JobPluginContract(), test)(bench, plugin)
    finally:
        await bench.app.close()
