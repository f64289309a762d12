"""Where a service process sends its spans: what OpenTelemetry's standard variables say."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.running import listening

ROOT = Path(__file__).resolve().parents[2]
PORT = re.compile(rb'"port": (\d+)')
READY_SECONDS = 60.0
STOP_SECONDS = 5.0
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SHOW = "from infra.tracing import tracer_provider; print(tracer_provider() is not None)"


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return {**kept, "PYTHONPATH": str(ROOT), "MILLRACE_LOGGING__LEVEL": "info", **variables}


@asynccontextmanager
async def serving(
    database_url: str, data: Path, **variables: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The address of a service, and its process."""
    given = environment(DATABASE_URL=database_url, MILLRACE_MODULES__JOBS__MONITORING__ENABLED="false", **variables)
    given.pop("RABBITMQ_URL", None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "infra.main", "serve", "--data", str(data), "--port", "0"),
        env=given,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not (found := PORT.search(await process.stderr.readline())):
                assert not process.stderr.at_eof(), "the service ended before it listened"
        yield f"http://127.0.0.1:{found[1].decode()}", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def enqueue(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        (await http.post("/api/commands/job.enqueue", json={"name": "x"}, headers=headers)).raise_for_status()


async def test_spans_reach_the_collector_at_the_latest_when_the_service_stops(
    fresh_database_url: str, tmp_path: Path
) -> None:
    received: list[ExportTraceServiceRequest] = []
    collector = FastAPI()

    @collector.post("/v1/traces")
    async def take(request: Request) -> Response:
        received.append(ExportTraceServiceRequest.FromString(await request.body()))
        return Response(media_type="application/x-protobuf")

    async with (
        listening(collector) as port,
        serving(
            fresh_database_url,
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            OTEL_EXPORTER_OTLP_COMPRESSION="none",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test",
            NO_PROXY="127.0.0.1",
        ) as (url, process),
    ):
        await enqueue(url)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), STOP_SECONDS) == 0
    resources = [each.resource for request in received for each in request.resource_spans]
    attributes = {item.key: item.value.string_value for item in resources[0].attributes}
    assert (attributes["service.name"], attributes["deployment.environment"]) == ("millrace", "test")
    spans = [
        span
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {"command job.enqueue", "append"} <= {span.name for span in spans if span.trace_id.hex() == TRACE}


async def test_a_collector_that_is_away_holds_up_nothing(fresh_database_url: str, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    async with serving(fresh_database_url, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=nowhere) as (url, process):
        await enqueue(url)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), STOP_SECONDS) == 0


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_TRACES_EXPORTER": "pigeon"}, False),
    ],
)
async def test_the_standard_variables_decide(variables: dict[str, str], on: bool) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SHOW), env=environment(**variables), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), READY_SECONDS)
    text = output.decode()
    assert text.splitlines()[-1] == str(on)
    assert ("no exporter 'pigeon' is installed" in text) is ("pigeon" in variables.values())
