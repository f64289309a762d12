"""Every route, command, query and event of schedules."""

from __future__ import annotations

from uuid import uuid4

import pytest

from millrace.contracts.catalogue import EVENTS
from tests.support.operations import Bench, data_of, versions
from tests.support.running import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def is_there(bench: Bench, job_id: str) -> bool:
    """A run that was asked for becomes a job soon after the answer that names it."""
    return (await bench.client.get(f"/api/jobs/{job_id}")).status_code == 200


async def test_schedules_over_amqp(bench: Bench) -> None:
    name = uuid4().hex
    job = {"name": "resize", "queue": uuid4().hex}
    await bench.ask("schedule.create", {"name": name, "every": 1, "overlap": "skip", "job": job})
    # The second run overlaps the first, whose job nobody takes.
    await bench.events("schedule.fired", "schedule.skipped")
    await bench.ask("schedule.change", {"name": name, "cron": "@daily", "timezone": "Europe/Berlin"})
    await bench.ask("schedule.pause", {"name": name})
    reply = await bench.ask("schedule.resume", {"name": name})
    shown = (await bench.ask("schedule.get", {"name": name}, reply["position"]))["result"]["schedule"]
    assert (shown["cron"], shown["paused"]) == ("0 0 * * *", False)
    assert name in {
        each["name"] for each in (await bench.ask("schedule.list", {"limit": 1_000}))["result"]["schedules"]
    }
    assert len((await bench.ask("schedule.next", {"name": name, "count": 3}))["result"]["next"]) == 3
    job_id = (await bench.ask("schedule.trigger", {"name": name}))["result"]["job_id"]
    await until(lambda: is_there(bench, job_id))
    assert (await bench.ask("job.get", {"job_id": job_id}))["result"]["job"]["queue"] == job["queue"]
    await bench.ask("schedule.remove", {"name": name})
    await bench.events(*(topic for topic in EVENTS if topic.startswith("schedule.")))


@versions
async def test_schedules_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    body = {"name": name, "cron": "30 2 * * *", "timezone": "Europe/Berlin", "job": {"name": "resize"}}
    created = data_of(await client.post(f"{prefix}/schedules", json=body), prefix, 201)
    assert (created["name"], created["paused"]) == (name, False)
    path = f"{prefix}/schedules/{name}"
    assert data_of(await client.patch(path, json={"overlap": "queue"}), prefix)["next_due_at"] == created["next_due_at"]
    assert data_of(await client.post(f"{path}/pause"), prefix)["next_due_at"] is None
    assert data_of(await client.post(f"{path}/resume"), prefix)["next_due_at"] == created["next_due_at"]
    shown = data_of(await client.get(path), prefix)
    assert (shown["overlap"], shown["job"]) == ("queue", {"name": "resize"})
    following = data_of(await client.get(f"{path}/next", params={"count": 2}), prefix)
    assert following["next"][0] == created["next_due_at"]
    assert following["local"][0][11:16] in ("02:30", "03:00")
    job_id = data_of(await client.post(f"{path}/trigger"), prefix, 201)["job_id"]
    await until(lambda: is_there(bench, job_id))
    assert data_of(await client.get(f"{prefix}/jobs/{job_id}"), prefix)["name"] == "resize"
    listed = await client.get(f"{prefix}/schedules", params={"limit": 1, "paused": False})
    assert len(data_of(listed, prefix)) == 1
    assert data_of(await client.delete(path), prefix) == {"success": True}
    assert (await client.get(path)).status_code == 404
