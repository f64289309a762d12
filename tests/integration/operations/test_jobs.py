"""Every route, command, query and event of jobs and of dead letters.

What each does is tested elsewhere; here each is reached over real HTTP and AMQP as its contract says, and every event
arrives at a consumer of `millrace.events`.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from uuid import uuid4

import pytest

from millrace.contracts.catalogue import EVENTS
from tests.support.operations import ERROR, Bench, data_of, versions
from tests.support.running import Running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_jobs_over_amqp(bench: Bench) -> None:
    job_id, attempt = await bench.claimed(max_attempts=1)
    renewed = await bench.ask("job.renew", {"worker": "w", "attempts": [{"job_id": job_id, "attempt": attempt}]})
    assert renewed["result"]["lost"] == []
    line = {"n": 1, "at": "2026-02-03T04:05:06Z", "message": "page 3", "fields": {"page": 3}}
    written = {"attempts": [{"job_id": job_id, "attempt": attempt, "lines": [line]}]}
    assert (await bench.ask("job.log", written))["result"] == {"kept": 1}
    assert (await bench.ask("job.logs", {"job_id": job_id}))["result"]["lines"][0]["message"] == "page 3"
    await bench.ask("job.checkpoint", {"job_id": job_id, "attempt": attempt, "state": {"page": 3}})
    await bench.report(job_id, attempt, "failed", error=ERROR)
    reply = await bench.ask("job.retry", {"job_id": job_id, "reason": "mended"})
    assert (await bench.ask("job.get", {"job_id": job_id}, reply["position"]))["result"]["job"]["status"] == "pending"
    assert (await bench.ask("job.cancel", {"job_id": job_id}))["result"]["success"]
    assert (await bench.ask("job.remove", {"job_id": job_id}))["result"]["success"]
    completed, attempt = await bench.claimed()
    text = b'{"pages":3}'
    digest = hashlib.sha256(text).hexdigest()
    named = {"job_id": completed, "attempt": attempt, "total": len(text), "sha256": digest}
    assert (await bench.ask("job.upload", {**named, "content": b64encode(text).decode()}))["result"]["size"] == 11
    where = {"sha256": digest, "size": 11, "parts": [{"sha256": digest, "size": 11}]}
    reply = await bench.report(completed, attempt, "completed", stored=where)
    read = await bench.ask("job.result", {"job_id": completed})
    assert b64decode(read["result"]["content"]) == text
    listed = await bench.ask("job.list", {"status": "completed"}, reply["position"])
    assert completed in {job["id"] for job in listed["result"]["jobs"]}
    assert (await bench.ask("job.stats", {}))["result"]["completed"] >= 1
    assert (await bench.ask("job.why", {"job_id": completed}))["result"]["code"] == "completed"
    queue = uuid4().hex
    parent = await bench.job(queue=queue)
    child = await bench.job(queue=queue, after=[parent], on_parent_failure="wait")
    graph = (await bench.ask("job.graph", {"job_id": child}))["result"]
    assert graph["links"] == [{"parent": parent, "child": child, "on_parent_failure": "wait"}]
    assert (await bench.ask("job.cancel_many", {"queue": queue}))["result"]["changed"] == 2
    assert (await bench.ask("job.retry_many", {"queue": queue}))["result"]["matched"] == 0


async def test_dead_letters_over_amqp(bench: Bench) -> None:
    job_id, attempt = await bench.claimed(max_attempts=1, data={"size": 2})
    position = (await bench.report(job_id, attempt, "failed", error=ERROR))["position"]
    listed = (await bench.ask("deadletter.list", {}, position))["result"]["jobs"]
    assert job_id in {each["id"] for each in listed}
    groups = (await bench.ask("deadletter.groups", {"name": "resize"}))["result"]["groups"]
    assert groups[0]["fingerprint"] in {each["fingerprint"] for each in listed}
    patch = [{"op": "replace", "path": "/size", "value": 3}]
    preview = (await bench.ask("deadletter.preview", {"job_id": job_id, "patch": patch}))["result"]
    assert preview["changes"][0]["edited"] == {"size": 3}
    await bench.ask("job.edit", {"job_id": job_id, "patch": patch, "reason": "typo"})
    await bench.ask("job.retry", {"job_id": job_id})
    assert (await bench.ask("job.undo", {"job_id": job_id}))["result"]["undone"] == "retry"
    assert (await bench.ask("job.undo", {"job_id": job_id}))["result"]["undone"] == "edit"
    detail = (await bench.ask("deadletter.get", {"job_id": job_id}))["result"]
    assert (detail["job"]["data"], len(detail["interventions"])) == ({"size": 2}, 4)
    wish = {"queue": detail["job"]["queue"], "reason": "the disk has room again"}
    assert (await bench.ask("deadletter.retry", wish))["result"]["job_ids"] == [job_id]
    assert (await bench.ask("deadletter.purge", wish))["result"]["matched"] == 0


async def test_events_of_jobs_over_amqp(bench: Bench) -> None:
    returned, attempt = await bench.claimed()
    await bench.report(returned, attempt, "returned")
    failed, attempt = await bench.claimed(retry={"kind": "fixed", "delay": 60})
    await bench.report(failed, attempt, "failed", error=ERROR)
    # Nobody renews this one, so its lease lapses.
    await bench.claimed()
    elsewhere = ("job.attempt_lost", "job.changed")
    await bench.events(*(name for name in EVENTS if name.startswith("job.") and name not in elsewhere))


async def test_the_event_of_a_lost_attempt_over_amqp(bench: Bench, service: Running) -> None:
    job_id, attempt = await bench.claimed()
    await bench.ask("job.renew", {"worker": "w", "attempts": [{"job_id": job_id, "attempt": attempt}]})
    pool = service.system.storage.pool
    # After a pause in which nobody could renew, as before this service came up, every lease begins anew.
    await until(lambda: pool.fetchval("SELECT beat_at > now() - interval '2 s' FROM lease_watch"))
    await pool.execute("UPDATE leases SET expires_at = now() WHERE job_id = $1", job_id)
    await bench.events("job.attempt_lost")


@versions
async def test_jobs_over_http(bench: Bench, prefix: str) -> None:
    client = bench.client
    job_id = data_of(await client.post(f"{prefix}/jobs", json={"name": "resize"}), prefix, 201)["job_id"]
    assert data_of(await client.get(f"{prefix}/jobs/{job_id}"), prefix)["id"] == job_id
    assert data_of(await client.get(f"{prefix}/jobs/{job_id}", params={"at": "1"}), prefix)["version"] == 1
    assert job_id in {job["id"] for job in data_of(await client.get(f"{prefix}/jobs"), prefix)}
    assert data_of(await client.get(f"{prefix}/jobs/stats"), prefix)["pending"] >= 1
    assert data_of(await client.get(f"{prefix}/jobs/{job_id}/history"), prefix)[0]["eventtype"] == "job.enqueued"
    assert data_of(await client.get(f"{prefix}/jobs/{job_id}/logs"), prefix)["lines"] == []
    assert data_of(await client.get(f"{prefix}/job/{job_id}"), prefix)["state"]["status"] == "pending"
    assert data_of(await client.get(f"{prefix}/why/{job_id}"), prefix)
    assert data_of(await client.get(f"{prefix}/jobs/{job_id}/why"), prefix)["code"] == "no-worker-for-queue"
    assert data_of(await client.delete(f"{prefix}/jobs/{job_id}"), prefix) == {"success": True}
    done, attempt = await bench.claimed()
    await bench.report(done, attempt, "completed", result={"pages": 3})
    result = await client.get(f"{prefix}/jobs/{done}/result")
    digest = b64encode(hashlib.sha256(b'{"pages":3}').digest()).decode()
    assert (result.content, result.headers["Repr-Digest"]) == (b'{"pages":3}', f"sha-256=:{digest}:")
    queue = uuid4().hex
    wish = {"name": "resize", "queue": queue, "unique": {"key": queue, "on_conflict": "existing"}}
    first = data_of(await client.post(f"{prefix}/jobs", json=wish), prefix, 201)
    again = data_of(await client.post(f"{prefix}/jobs", json=wish), prefix, 200)
    assert again == {**first, "existing": True}
    graph = data_of(await client.get(f"{prefix}/jobs/{first['job_id']}/graph", params={"limit": 5}), prefix)
    assert (len(graph["jobs"]), graph["links"], graph["complete"]) == (1, [], True)
    counted = data_of(await client.post(f"{prefix}/jobs/cancel", json={"queue": queue, "dry_run": True}), prefix)
    assert counted["matched"] == 1
    assert data_of(await client.post(f"{prefix}/jobs/cancel", json={"queue": queue}), prefix)["changed"] == 1
    assert data_of(await client.post(f"{prefix}/jobs/retry", json={"queue": queue}), prefix)["matched"] == 0


@versions
async def test_dead_letters_over_http(bench: Bench, prefix: str) -> None:
    client = bench.client
    dead, attempt = await bench.claimed(max_attempts=1, data={"size": 2})
    position = (await bench.report(dead, attempt, "failed", error=ERROR))["position"]
    headers = {"X-Min-Position": position}
    letters = data_of(await client.get(f"{prefix}/deadletters", headers=headers), prefix)
    assert dead in {job["id"] for job in letters}
    assert data_of(await client.get(f"{prefix}/deadletters/groups"), prefix)["total"] >= 1
    change = {"patch": [{"op": "replace", "path": "/size", "value": 3}]}
    preview = data_of(await client.post(f"{prefix}/deadletters/preview", json={"job_id": dead, **change}), prefix)
    assert preview["changes"][0]["edited"] == {"size": 3}
    edit = {**change, "reason": "typo"}
    edited = await client.patch(f"{prefix}/deadletters/{dead}", json=edit, headers={"X-Actor": "ada"})
    assert data_of(edited, prefix)["status"] == "failed"
    detail = data_of(await client.get(f"{prefix}/deadletters/{dead}"), prefix)
    assert (detail["job"]["data"], detail["original"]) == ({"size": 3}, {"size": 2})
    assert [(done["actor"], done["reason"]) for done in detail["interventions"]] == [("ada", "typo")]
    assert data_of(await client.post(f"{prefix}/jobs/{dead}/retry"), prefix)["status"] == "pending"
    assert data_of(await client.post(f"{prefix}/jobs/{dead}/undo"), prefix)["undone"] == "retry"
    gone = await client.delete(f"{prefix}/jobs/{dead}", params={"remove": True, "reason": "obsolete"})
    assert data_of(gone, prefix) == {"success": True}
    name = uuid4().hex
    dead, attempt = await bench.claimed(max_attempts=1, name=name)
    await bench.report(dead, attempt, "failed", error=ERROR)
    counted = data_of(await client.post(f"{prefix}/deadletters/retry", json={"name": name, "dry_run": True}), prefix)
    assert counted["matched"] == 1
    purged = data_of(await client.post(f"{prefix}/deadletters/purge", json={"name": name}), prefix)
    assert purged["job_ids"] == [dead]
