"""What HTTP has for all blocks together: every command and query by its name, CloudEvents, health."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from infra.documents import DOCS
from tests.support.operations import Bench, data_of, versions

pytestmark = pytest.mark.asyncio(loop_scope="module")
OPENAPI: dict[str, Any] = json.loads((DOCS / "openapi.json").read_text())


async def test_health_over_http(bench: Bench) -> None:
    for path in ("/health", "/health/live"):
        assert (await bench.client.get(path)).json() == {"status": "healthy"}
    assert (await bench.client.get("/health/ready")).json()["status"] == "ready"
    assert (await bench.client.get("/metrics")).headers["content-type"].startswith("text/plain")


@versions
@pytest.mark.parametrize("kind", ["commands", "queries"])
async def test_every_command_and_query_by_name_over_http(bench: Bench, prefix: str, kind: str) -> None:
    """An empty body: each name is routed to its own contract, which takes it or says what is missing."""
    wanted = [path for path in OPENAPI["paths"] if path.startswith(f"{prefix}/{kind}/")]
    assert len(wanted) >= 9
    for path in wanted:
        answer = await bench.client.post(path, json={})
        assert answer.status_code in (200, 422), path
        if answer.status_code == 422:
            assert "Field required" in answer.text or "give at least one filter" in answer.text


@versions
async def test_commands_as_cloudevents_over_http(bench: Bench, prefix: str) -> None:
    event = {"specversion": "1.0", "id": uuid4().hex, "source": "/t", "type": "job.enqueue", "data": {"name": "resize"}}
    headers = {"Content-Type": "application/cloudevents+json"}
    answer = await bench.client.post(f"{prefix}/commands", content=json.dumps(event), headers=headers)
    assert data_of(answer, prefix)
