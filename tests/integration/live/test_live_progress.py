"""`/ws/progress` as the users' guide shows it: a snapshot, then every update, those too that are not recorded."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from domain.live import Sample
from millrace import Millrace, Progress
from tests.support.eventually import eventually
from tests.support.live import LiveClient, live
from tests.support.running import Running, running


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as service:
        yield service


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


async def call(service: Running, tenant: str, path: str, body: dict[str, Any], method: str = "POST") -> Any:
    async with service.client(tenant) as client:
        answer = await client.request(method, f"/api/progress{path}", json=body)
        answer.raise_for_status()
        return answer.json()


async def follow(client: LiveClient, id: str, **more: Any) -> list[dict[str, Any]]:
    await client.say(action="subscribe", progress_id=id, **more)
    return await client.until(lambda message: message["event"] in ("caught-up", "error"))


async def test_a_snapshot_comes_first_and_then_every_change(service: Running, tenant: str) -> None:
    await call(service, tenant, "", {"id": "file-1", "stages": ["upload", "index"], "user_id": "ann"})
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        first = await follow(client, "file-1")
        assert [message["event"] for message in first] == ["subscribed", "progress.update", "caught-up"]
        snapshot = first[1]
        assert (snapshot["snapshot"], snapshot["data"]["id"], snapshot["data"]["status"]) == (True, "file-1", "pending")
        assert [stage["name"] for stage in snapshot["data"]["stages"]] == ["upload", "index"]
        await call(service, tenant, "/file-1", {"progress": 50, "stage": "upload"}, "PATCH")
        update = await client.told("progress.update")
        told = update["data"]
        assert (told["id"], told["status"], told["stage"], told["stage_progress"]) == (
            "file-1",
            "processing",
            "upload",
            50,
        )
        assert told["progress"] == 25
        assert update["position"]
        await call(service, tenant, "/file-1/advance", {})
        stage = (await client.until(lambda message: message["data"].get("stage") == "index"))[-1]
        assert stage["eventtype"] == "progress.stage_changed"
        await call(service, tenant, "/file-1/complete", {"result": {"words": 7}})
        ended = (await client.until(lambda message: message["data"]["status"] == "completed"))[-1]
        assert (ended["data"]["progress"], ended["data"]["result"]) == (100, {"words": 7})


async def test_the_time_left_is_told_with_each_event(service: Running, tenant: str) -> None:
    await call(service, tenant, "", {"id": "file-1", "stages": ["upload", "index"]})
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        await follow(client, "file-1")
        await call(service, tenant, "/file-1", {"progress": 0, "stage": "upload"}, "PATCH")
        await call(service, tenant, "/file-1", {"progress": 100, "stage": "upload"}, "PATCH")
        half = (await client.until(lambda message: message["data"].get("progress") == 50))[-1]
        assert half["data"]["eta"] == pytest.approx(50 / half["data"]["rate"], abs=0.01)
        await call(service, tenant, "/file-1/fail", {})
        failed = (await client.until(lambda message: message["data"]["status"] == "failed"))[-1]
        await call(service, tenant, "/file-1/resume", {})
        resumed = (await client.until(lambda message: message["data"]["status"] == "processing"))[-1]
    # Said, since whoever follows keeps what was told before.
    assert (failed["data"]["eta"], resumed["data"]["eta"]) == (None, None)


async def test_the_time_left_is_told_with_each_sample(service: Running, tenant: str) -> None:
    await call(service, tenant, "", {"id": "file-1"})
    await call(service, tenant, "/file-1", {"progress": 1}, "PATCH")
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        await follow(client, "file-1")
        for percent in (2, 3, 4):
            await call(service, tenant, "/file-1", {"progress": percent}, "PATCH")
        told = await client.until(lambda message: message["data"].get("progress") == 4)
    samples = [message["data"] for message in told if message.get("transient")]
    assert samples
    for sample in samples:
        assert sample["eta"] == pytest.approx((100 - sample["progress"]) / sample["rate"], abs=0.01)


async def test_samples_are_told_without_a_position(service: Running, tenant: str) -> None:
    await call(service, tenant, "", {"id": "file-1"})
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        await follow(client, "file-1")
        for other in ("file-2", "file-1"):
            data = {"id": other, "status": "processing", "progress": 12.5, "stage": None, "stage_progress": None}
            service.system.samples.emit(
                Sample(tenant, "progress.update", other, data, uuid.uuid4().hex, datetime.now(UTC))
            )
        told = await client.told("progress.update")
    assert (told["data"]["id"], told["data"]["progress"], told["transient"]) == ("file-1", 12.5, True)
    assert "position" not in told


async def test_an_update_that_is_not_recorded_is_told_all_the_same(service: Running, tenant: str) -> None:
    await call(service, tenant, "", {"id": "file-1"})
    await call(service, tenant, "/file-1", {"progress": 1}, "PATCH")
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        await follow(client, "file-1")
        for percent in (2, 3, 4):
            await call(service, tenant, "/file-1", {"progress": percent}, "PATCH")
        told = await client.until(lambda message: message["data"].get("progress") == 4)
    assert any(message.get("transient") and "position" not in message for message in told)


async def test_what_was_missed_is_told_after_a_position(service: Running, tenant: str) -> None:
    await call(service, tenant, "", {"id": "file-1", "stages": ["a", "b"]})
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        position = (await follow(client, "file-1"))[-1]["position"]
    await call(service, tenant, "/file-1", {"progress": 10, "stage": "a"}, "PATCH")
    await call(service, tenant, "/file-1", {"progress": 10, "stage": "b"}, "PATCH")
    await call(service, tenant, "/file-1/fail", {"error": "disk full"})
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        missed = await follow(client, "file-1", after=position)
    told = [(m["data"]["status"], m["data"].get("stage"), m["data"].get("error")) for m in missed if m.get("eventtype")]
    assert told == [("processing", "a", None), ("processing", "b", None), ("failed", None, "disk full")]


async def test_who_asks_before_it_is_created_is_told_from_the_beginning(service: Running, tenant: str) -> None:
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        assert [message["event"] for message in await follow(client, "later")] == ["subscribed", "caught-up"]
        await call(service, f"{tenant}-x", "", {"id": "later"})
        await call(service, tenant, "", {"id": "later", "metadata": {"mine": 1}})
        created = await client.told("progress.update")
    assert (created["data"]["status"], created["data"]["metadata"]) == ("pending", {"mine": 1})


async def test_following_ends_when_it_is_asked_to(service: Running, tenant: str) -> None:
    await call(service, tenant, "", {"id": "file-1"})
    async with live(service.url, f"/ws/progress?tenant={tenant}") as client:
        await follow(client, "file-1")
        await client.say(action="unsubscribe", progress_id="file-1", id="u")
        assert (await client.told("unsubscribed"))["id"] == "u"
        await call(service, tenant, "/file-1/complete", {})
        await client.say(action="unsubscribe", progress_id="file-1")
        assert (await client.read())["data"]["code"] == "not-found"


@pytest.mark.parametrize("others", [0, 12])
async def test_a_client_over_http_sees_samples_between_the_events(service: Running, tenant: str, others: int) -> None:
    seen: list[Progress] = []
    strangers: list[Progress] = []
    async with Millrace(service.url, tenant=tenant, timeout=15) as app:
        await app.progress.create(id="busy")
        for n in range(others):
            await app.progress.create(id=f"other-{n}")
            app.progress.subscribe(f"other-{n}", strangers.append)
        unsubscribe = app.progress.subscribe("busy", seen.append)
        percent = 0.0

        async def sampled() -> bool:
            nonlocal percent
            percent = min(percent + 0.01, 99.0)
            await app.progress.update("busy", percent)
            versions = [each.version for each in seen]
            return len(versions) > len(set(versions))

        await eventually(sampled)
        await app.progress.complete("busy", "fine")
        await eventually(lambda: asyncio.sleep(0, seen[-1].status), lambda status: status == "completed")
        unsubscribe()
    assert [each.progress for each in seen] == sorted(each.progress for each in seen)
    assert {each.progress for each in strangers} <= {0}
    sampled_ones = [after for before, after in pairwise(seen) if before.version == after.version]
    assert sampled_ones
    for sample in sampled_ones:
        assert sample.rate is not None
        assert sample.eta == pytest.approx((100 - sample.progress) / sample.rate, abs=0.01)


async def test_who_wants_events_alone_is_shown_no_samples(service: Running, tenant: str) -> None:
    seen: list[Progress] = []
    async with Millrace(service.url, tenant=tenant, timeout=15) as app:
        await app.progress.create(id="busy")
        app.progress.subscribe("busy", seen.append, samples=False)
        for percent in range(1, 40):
            await app.progress.update("busy", percent)
        await app.progress.complete("busy")
        await eventually(lambda: asyncio.sleep(0, seen and seen[-1].status), lambda status: status == "completed")
    versions = [each.version for each in seen]
    assert versions == sorted(set(versions))
