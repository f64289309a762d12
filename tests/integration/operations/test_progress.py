"""Every route, command, query and event of progress."""

from __future__ import annotations

from uuid import uuid4

import pytest

from millrace.contracts.catalogue import EVENTS
from tests.support.operations import Bench, data_of, versions

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_progress_over_amqp(bench: Bench) -> None:
    whole, part = uuid4().hex, uuid4().hex
    await bench.ask("progress.create", {"id": whole, "children": {"expected": 1}})
    made = await bench.ask("progress.create", {"id": part, "stages": ["a", "b"], "parent_id": whole, "stall_after": 1})
    assert made["result"]["progress"]["stages"][1]["name"] == "b"
    assert (await bench.ask("progress.update", {"progress_id": part, "progress": 5}))["result"]["outcome"] == "recorded"
    await bench.ask("progress.update", {"progress_id": part, "progress": 100})
    await bench.ask("progress.advance", {"progress_id": part})
    await bench.ask("progress.checkpoint", {"progress_id": part, "checkpoint": {"row": 7}})
    await bench.events("progress.stalled")
    await bench.ask("progress.fail", {"progress_id": part, "error": "disk full"})
    resumed = (await bench.ask("progress.resume", {"progress_id": part}))["result"]["progress"]
    assert (resumed["checkpoint"], resumed["progress"]) == ({"row": 7}, 50)
    reply = await bench.ask("progress.complete", {"progress_id": part, "result": 3})
    await bench.events("progress.completed", "progress.child_reported")
    listed = await bench.ask("progress.list", {"parent_id": whole}, reply["position"])
    assert [each["id"] for each in listed["result"]["progress"]] == [part]
    other = (await bench.ask("progress.create", {}))["result"]["progress"]["id"]
    await bench.ask("progress.cancel", {"progress_id": other, "reason": "not wanted"})
    assert (await bench.ask("progress.get", {"progress_id": other}))["result"]["progress"]["status"] == "cancelled"
    assert (await bench.ask("progress.remove", {"progress_id": other}))["result"]["success"]
    batch = (await bench.ask("batch.create", {"name": "b", "progress": {"expected": 2}}))["result"]["batch_id"]
    await bench.ask("job.enqueue", {"name": "n", "batch": batch})
    await bench.events(*(topic for topic in EVENTS if topic.startswith("progress.")))


@versions
async def test_progress_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    path = f"{prefix}/progress/{name}"
    body = {"id": name, "stages": ["upload", "process"], "metadata": {"file_id": "123"}, "user_id": name}
    for _ in range(2):
        made = data_of(await client.post(f"{prefix}/progress", json=body), prefix, 201)
        assert (made["id"], made["status"], made["metadata"]) == (name, "pending", {"file_id": "123"})
    assert (await client.post(f"{prefix}/progress", json={**body, "stages": []})).status_code == 409
    told = data_of(await client.patch(path, json={"progress": 50, "stage": "upload"}), prefix)
    assert (told["progress"], told["stage"], told["stage_progress"], told["outcome"]) == (25, "upload", 50, "recorded")
    assert data_of(await client.get(path), prefix)["stages"][0]["status"] == "processing"
    assert data_of(await client.post(f"{path}/advance"), prefix)["stage"] == "process"
    data_of(await client.post(f"{path}/checkpoint", json={"checkpoint": [1]}), prefix)
    assert (
        data_of(await client.post(f"{path}/fail", json={"error": "Error message"}), prefix)["error"] == "Error message"
    )
    resumed = data_of(await client.post(f"{path}/resume"), prefix)
    assert resumed["checkpoint"] == [1]
    again = data_of(await client.post(f"{path}/resume", json={"new_attempt": True}), prefix)
    assert again["version"] == resumed["version"] + 1
    assert data_of(await client.post(f"{path}/complete", json={"result": {"n": 1}}), prefix)["result"] == {"n": 1}
    listed = data_of(await client.get(f"{prefix}/progress", params={"user_id": name}), prefix)
    assert [each["id"] for each in listed] == [name]
    assert data_of(await client.delete(path), prefix) == {"success": True}
    assert (await client.get(path)).status_code == 404
    other = data_of(await client.post(f"{prefix}/progress"), prefix, 201)["id"]
    assert data_of(await client.post(f"{prefix}/progress/{other}/cancel"), prefix)["status"] == "cancelled"
