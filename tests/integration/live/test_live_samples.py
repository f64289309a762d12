"""Samples on the live feeds are CloudEvents like recorded events, except that they have no position."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from domain.live import Sample
from tests.support.cloudevents import complete
from tests.support.live import live
from tests.support.running import Running, running
from tests.support.sse import streaming, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as service:
        yield service


async def test_a_sample_is_the_same_complete_cloudevent_on_every_feed(service: Running) -> None:
    tenant = f"t{uuid.uuid4().hex[:12]}"
    observed_at = datetime(2026, 2, 3, 4, 5, 6, 7_000, UTC)
    sample = Sample(tenant, "progress.update", "busy", {"progress": 11.1, "status": "processing"}, "s-1", observed_at)
    async with (
        streaming(service.url, tenant, "progress.#") as stream,
        live(service.url, f"/ws/tester?tenant={tenant}") as client,
    ):
        await until(stream, "caught-up")
        await client.subscribe("progress.#")
        service.system.samples.emit(sample)
        [*_, streamed] = await until(stream, "progress.update")
        told = await client.told("progress.update")
    assert (streamed.position, "position" in told) == ("", False)
    assert streamed.data == told["data"]
    event = complete(json.dumps(streamed.data))
    assert (event["id"], event["time"], event["subject"]) == ("s-1", "2026-02-03T04:05:06.007000Z", "busy")
    assert (event["tenant"], event["transient"]) == (tenant, True)
    assert "position" not in streamed.data


async def test_recorded_events_beside_them_are_complete_too_and_have_a_position(service: Running) -> None:
    tenant = f"t{uuid.uuid4().hex[:12]}"
    async with service.client(tenant) as http, streaming(service.url, tenant, "progress.#") as stream:
        await until(stream, "caught-up")
        (await http.post("/api/progress", json={"id": "busy"})).raise_for_status()
        answers = [(await http.patch("/api/progress/busy", json={"progress": n})).json() for n in range(1, 6)]
        assert "sampled" in {answer["outcome"] for answer in answers}
        [*told, sampled] = await until(stream, "progress.update")
    assert sampled.data["data"]["progress"] in range(1, 6)
    for one in (*told, sampled):
        complete(json.dumps(one.data))
        assert ("position" in one.data) == (not one.data.get("transient", False)) == bool(one.position)
