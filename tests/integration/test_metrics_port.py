"""`serve` as an operator starts it: Prometheus reads the port that the settings name, whatever the roles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.harness.processes import Service, free_port
from tests.support.running import until
from tests.support.systems import enqueued, system

MONITORING = "MILLRACE_MODULES__JOBS__MONITORING"
Serving = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def serving(fresh_database_url: str, tmp_path: Path) -> Serving:
    @asynccontextmanager
    async def serve(roles: str | None = None, **monitoring: str) -> AsyncIterator[Service]:
        settings = {f"{MONITORING}__{name.upper()}": value for name, value in monitoring.items()}
        service = Service(tmp_path, database=fresh_database_url, roles=roles, extra=settings)
        try:
            await service.start()
            await service.ready()
            yield service
            assert await service.stop() == 0, service.output()
        finally:
            await service.close()

    return serve


async def scraped(port: int) -> dict[str, float]:
    """The values of the metrics, by name and labels."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        ",".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("roles", [None, "projector,timers"])
async def test_the_port_of_the_settings_has_the_metrics(
    serving: Serving, fresh_database_url: str, roles: str | None
) -> None:
    port = free_port()
    async with serving(roles, metrics_port=str(port)):
        async with system(fresh_database_url, ["api"]) as other:
            for _ in range(3):
                await enqueued(other, queue="media")

        async def counted() -> bool:
            return (await scraped(port)).get("millrace_jobs,queue=media,status=pending") == 3

        await until(counted)
        values = await scraped(port)
        assert values["millrace_jobs_ready,queue=media"] == 3
        assert values["millrace_log_head"] >= 3


async def test_without_monitoring_nothing_listens_and_http_has_the_metrics_all_the_same(serving: Serving) -> None:
    port = free_port()
    async with serving(metrics_port=str(port), enabled="false") as service:
        with pytest.raises(httpx.ConnectError):
            await scraped(port)
        assert "millrace_log_head" in await scraped(service.port)


async def test_a_port_that_is_taken_is_told_and_the_service_works_without(serving: Serving) -> None:
    other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    try:
        async with serving(metrics_port=str(port)) as service:
            assert "millrace_log_head" in await scraped(service.port)
            (line,) = [line for line in service.output().splitlines() if "metrics_unserved" in line]
            assert str(port) in line
    finally:
        other.close()
        await other.wait_closed()
