"""Every route, command, query and event of the documents, used once over real HTTP and AMQP as its contract says.

What each does is tested elsewhere; here each is reached through the entry point that the document names, answers with
what the document promises, and every event arrives at a consumer of `millrace.events`.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aio_pika
import httpx
import jsonschema
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractQueue

from adapters.postgres.expired_notifications import PostgresExpiredNotifications
from domain.channels import Rejected, Unavailable
from handlers.notification_retention import NotificationRetention
from infra.documents import DOCS
from millrace.contracts.catalogue import EVENTS
from tests.integration.amqp.caller import Caller
from tests.support.channels import Recorder
from tests.support.eventually import eventually
from tests.support.running import Running, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
SPECIFICATION: dict[str, Any] = json.loads((DOCS / "asyncapi.json").read_text())
OPENAPI: dict[str, Any] = json.loads((DOCS / "openapi.json").read_text())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    database_url: str, rabbitmq_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    channels = [
        Recorder("email"),
        Recorder("sms", [Unavailable("test", "busy", 0.0), Rejected("test", "nobody has that number")]),
        Recorder("push"),
    ]
    modules = {"jobs": {"storage": {"path": str(tmp_path_factory.mktemp("objects"))}}}
    async with running(database_url, rabbitmq_url, channels=channels, modules=modules) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(service: Running, rabbitmq_url: str) -> AsyncIterator[Bench]:
    async with await aio_pika.connect(rabbitmq_url, timeout=5) as connection, connection.channel() as channel:
        caller = await Caller.on(channel)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("millrace.events", routing_key="every.#")
        async with service.client("every") as client:
            yield Bench(caller, client, queue)


class Bench:
    """Calls over AMQP, with every message checked against the AsyncAPI document."""

    def __init__(self, caller: Caller, client: httpx.AsyncClient, queue: AbstractQueue) -> None:
        self.caller, self.client, self.queue = caller, client, queue
        self.asked: set[str] = set()
        self.arrived: dict[str, dict[str, Any]] = {}

    async def ask(self, name: str, body: dict[str, Any], position: str | None = None) -> dict[str, Any]:
        operation = SPECIFICATION["operations"][name]
        channel = SPECIFICATION["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
        conforms(name, body)
        reply = await self.caller.call(
            channel["address"].format(tenant="every"),
            body,
            exchange=channel["bindings"]["amqp"]["exchange"]["name"],
            headers={} if position is None else {"min_position": position},
        )
        assert reply["ok"], (name, reply)
        conforms(f"{name}.reply", reply)
        self.asked |= {name, f"{name}.reply"}
        return reply

    async def job(self, **options: Any) -> str:
        return str(
            (await self.ask("job.enqueue", {"name": "resize", "queue": uuid4().hex, **options}))["result"]["job_id"]
        )

    async def claimed(self, **options: Any) -> tuple[str, int]:
        queue = uuid4().hex
        job_id = await self.job(queue=queue, **options)
        grants = (await self.ask("job.claim", {"worker": "w", "queues": [queue], "wait": 5}))["result"]["grants"]
        assert [grant["job_id"] for grant in grants] == [job_id]
        return job_id, grants[0]["attempt"]

    async def report(self, job_id: str, attempt: int, outcome: str, **more: Any) -> dict[str, Any]:
        return await self.ask("job.report", {"job_id": job_id, "attempt": attempt, "outcome": outcome, **more})

    async def events(self, *names: str) -> None:
        """Waits until an event of each name has come over AMQP, in the shape of its message."""

        async def all_there() -> bool:
            message = await self.queue.get(no_ack=True, fail=False)
            if message is not None:
                event = json.loads(message.body)
                self.arrived[event["eventtype"]] = event
                if event["eventtype"] in EVENTS:
                    conforms(f"{event['eventtype']}.event", event)
            return set(names) <= self.arrived.keys()

        await until(all_there)


def conforms(message: str, value: object) -> None:
    schema = {**SPECIFICATION["components"]["messages"][message]["payload"], "components": SPECIFICATION["components"]}
    found = next(jsonschema.Draft202012Validator(schema).iter_errors(value), None)
    assert found is None, f"{message} at {found.json_path}: {found.message[:500]}"


ERROR = {"type": "ValueError", "message": "no"}


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


async def test_batches_over_amqp(bench: Bench) -> None:
    batch_id = (await bench.ask("batch.create", {"name": "import", "on_complete": "report"}))["result"]["batch_id"]
    job_id = await bench.job(batch=batch_id)
    assert (await bench.ask("batch.seal", {"batch_id": batch_id}))["result"]["is_sealed"]
    assert (await bench.ask("batch.get", {"batch_id": batch_id}))["result"]["batch"]["open"] == 1
    await bench.ask("batch.cancel", {"batch_id": batch_id, "reason": "wrong file"})
    await bench.events("job.cancelled", "batch.completed")
    assert (await bench.ask("job.get", {"job_id": job_id}))["result"]["job"]["status"] == "cancelled"
    empty = (await bench.ask("batch.create", {"name": "empty"}))["result"]["batch_id"]
    await bench.ask("batch.seal", {"batch_id": empty})
    assert len((await bench.ask("batch.list", {"limit": 2}))["result"]["batches"]) == 2
    await bench.events(*(name for name in EVENTS if name.startswith("batch.")))


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
    assert (await bench.ask("job.get", {"job_id": job_id}))["result"]["job"]["queue"] == job["queue"]
    await bench.ask("schedule.remove", {"name": name})
    await bench.events(*(topic for topic in EVENTS if topic.startswith("schedule.")))


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


async def test_notifications_over_amqp(bench: Bench, service: Running) -> None:
    user = uuid4().hex
    await bench.ask("notification.set_contacts", {"user_id": user, "contacts": {"email": "one@example.org"}})
    await bench.ask("notification.set_preferences", {"user_id": user, "categories": {"news": False}})
    send = {"user_id": user, "title": "t", "channels": ["in-app"]}
    reply = await bench.ask("notification.send", send)
    notification_id = reply["result"]["notification_id"]
    shown = await bench.ask("notification.get", {"notification_id": notification_id}, reply["position"])
    assert shown["result"]["notification"]["title"] == "t"
    await bench.ask("notification.snooze", {"notification_id": notification_id, "seconds": 0.1})
    await bench.events("notification.woken")
    await bench.ask("notification.mark_read", {"notification_id": notification_id, "user_id": user})
    mailed = await bench.ask("notification.send", {**send, "channels": ["email"]})
    by_mail = {"notification_id": mailed["result"]["notification_id"], "channel": "email"}
    await bench.events("notification.sent")
    await bench.ask("notification.receipt", {**by_mail, "status": "delivered"})
    await bench.ask("subscription.create", {"name": "channel:pigeon", "pattern": "notification.handed_over"})
    handed = await bench.ask("notification.send", {**send, "channels": ["pigeon"]})
    await bench.events("notification.handed_over")
    by_pigeon = {"notification_id": handed["result"]["notification_id"], "channel": "pigeon", "attempt": 1}
    await bench.ask("notification.report", {**by_pigeon, "status": "sent"})
    await bench.ask("notification.resend", by_mail)
    failing = {**send, "channels": ["sms", "push"], "recipient": "+1"}
    await bench.ask("notification.send", failing)
    await bench.ask("notification.send", {**send, "channels": ["email"], "digest": {"key": "d"}})
    await bench.ask("notification.send", {**send, "category": "news"})
    await bench.ask("notification.cancel", {"notification_id": notification_id})
    reply = await bench.ask("notification.mark_all_read", {"user_id": user})
    unread = await bench.ask("notification.unread_count", {"user_id": user}, reply["position"])
    assert unread["result"]["unread"] == 0
    listed = await bench.ask("notification.list", {"user_id": user, "scope": "all"}, reply["position"])
    assert len(listed["result"]["notifications"]) == 6
    assert (await bench.ask("notification.preferences", {"user_id": user}))["result"]["categories"] == {"news": False}
    assert "email" in (await bench.ask("notification.contacts", {"user_id": user}))["result"]["contacts"]
    retention = NotificationRetention(
        PostgresExpiredNotifications(service.system.storage.pool), service.system.pipeline, read=0.001, unread=3_600
    )
    await until(lambda: _swept(retention))
    await bench.events(*(topic for topic in EVENTS if topic.startswith("notification.")))


async def _swept(retention: NotificationRetention) -> bool:
    return await retention.sweep() > 0


async def test_templates_over_amqp(bench: Bench) -> None:
    name = uuid4().hex
    saved = await bench.ask("template.save", {"name": name, "title": "Hello {{ name }}"})
    assert saved["result"] == {"name": name, "version": 1}
    assert "" in (await bench.ask("template.get", {"name": name}))["result"]["template"]["locales"]
    shown = await bench.ask("template.preview", {"name": name, "context": {"name": "Kim"}})
    assert shown["result"]["title"] == "Hello Kim"
    listed = await bench.ask("template.list", {}, saved["position"])
    assert name in {each["name"] for each in listed["result"]["templates"]}
    await bench.ask("template.remove", {"name": name})
    await bench.events("template.saved", "template.removed")


async def test_subscriptions_and_events_over_amqp(bench: Bench) -> None:
    name = uuid4().hex
    await bench.ask("subscription.create", {"name": name, "pattern": "shop.#"})
    await bench.ask("subscription.create", {"name": name, "pattern": "shop.item.#"})
    await bench.ask("event.publish", {"event_type": "shop.item.sold", "payload": {"n": 1}})
    page = (await bench.ask("log.read", {"pattern": "shop.#"}))["result"]
    event = page["events"][-1]
    parked = {"name": name, "position": event["position"], "event_id": event["id"], "error": "no"}
    await bench.ask("subscription.lease", {"name": name, "worker": "w"})
    await bench.ask("subscription.park", parked)
    await bench.ask("subscription.release", {"name": name, "event_id": event["id"]})
    await bench.ask("subscription.acknowledge", {"name": name, "position": "head"})
    await bench.ask("subscription.set_active", {"name": name, "active": False})
    reply = await bench.ask("subscription.set_active", {"name": name, "active": True})
    assert (await bench.ask("subscription.get", {"name": name}, reply["position"]))["result"]["subscription"][
        "is_active"
    ]
    assert (await bench.ask("subscription.list", {}))["result"]["subscriptions"]
    await bench.events("shop.item.sold", *(topic for topic in EVENTS if topic.startswith("subscription.")))


async def test_queues_over_amqp(bench: Bench) -> None:
    name = uuid4().hex
    settings = {"concurrency": 2, "rate": {"limit": 5}, "per_name": {"resize": {"concurrency": 1}}, "order": "fair"}
    await bench.ask("queue.configure", {"name": name, **settings})
    await bench.ask("queue.pause", {"name": name, "reason": "mended soon"})
    job_id = await bench.job(queue=name, key="a")
    await bench.ask("job.change", {"job_id": job_id, "priority": 5, "data": {"n": 1}})
    queue = (await bench.ask("queue.get", {"name": name}))["result"]["queue"]
    assert (queue["paused"], queue["ready"], queue["rate"]) == (True, 1, {"limit": 5, "period": 1.0, "burst": 5})
    assert name in {queue["name"] for queue in (await bench.ask("queue.list", {}))["result"]["queues"]}
    await bench.ask("queue.resume", {"name": name})
    assert (await bench.ask("queue.drain", {"name": name}))["result"] == {"name": name, "cancelled": 1}
    await bench.events("job.changed", *(topic for topic in EVENTS if topic.startswith("queue.")))


async def test_circuits_over_amqp(bench: Bench) -> None:
    name, queue = uuid4().hex, uuid4().hex
    await bench.ask("circuit.configure", {"name": name, "failures": 1, "pause": 2})

    async def state() -> str:
        return str((await bench.ask("circuit.get", {"name": name}))["result"]["circuit"]["state"])

    async def failing() -> str:
        await bench.ask("job.enqueue", {"name": name, "queue": queue, "max_attempts": 1})
        for grant in (await bench.ask("job.claim", {"worker": "w", "queues": [queue]}))["result"]["grants"]:
            attempt = {"job_id": grant["job_id"], "attempt": grant["attempt"]}
            await bench.ask("job.report", {**attempt, "outcome": "failed", "error": {"message": "no"}})
        return await state()

    await eventually(failing, lambda found: found == "open", 30)
    await eventually(state, lambda found: found == "half_open", 30)
    assert name in {each["name"] for each in (await bench.ask("circuit.list", {}))["result"]["circuits"]}
    await bench.ask("circuit.reset", {"name": name, "reason": "mended"})
    assert await state() == "closed"
    await bench.events(*(topic for topic in EVENTS if topic.startswith("circuit.")))


async def test_the_log_over_amqp(bench: Bench) -> None:
    job_id = await bench.job()
    assert (await bench.ask("log.history", {"kind": "job", "id": job_id}))["result"]["events"]
    assert (await bench.ask("log.state", {"kind": "job", "id": job_id, "at": "1"}))["result"]["version"] == 1
    assert (await bench.ask("log.why", {"id": job_id}))["result"]["events"]


def data_of(answer: httpx.Response, prefix: str, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    if prefix == "/api":
        return answer.json()
    assert answer.json()["status"] == "success"
    return answer.json()["data"]


versions = pytest.mark.parametrize("prefix", ["/api", "/api/v1"])


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


@versions
async def test_batches_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    batch_id = data_of(await client.post(f"{prefix}/batches", json={"name": name}), prefix, 201)["batch_id"]
    data_of(await client.post(f"{prefix}/jobs", json={"name": "resize", "batch": batch_id}), prefix, 201)
    path = f"{prefix}/batches/{batch_id}"
    assert data_of(await client.get(path), prefix)["total"] == 1
    listed = data_of(await client.get(f"{prefix}/batches", params={"name": name}), prefix)
    assert [batch["id"] for batch in listed] == [batch_id]
    assert data_of(await client.post(f"{path}/seal"), prefix)["is_sealed"]
    assert data_of(await client.delete(path, params={"reason": "wrong file"}), prefix)["is_cancelled"]
    assert data_of(await client.get(f"{path}/history"), prefix)[2]["data"] == {"reason": "wrong file"}


@versions
async def test_queues_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    path = f"{prefix}/queues/{name}"
    told = {"name": name, "paused": False}
    assert data_of(await client.patch(path, json={"concurrency": 1, "per_key": {"concurrency": 1}}), prefix) == told
    assert data_of(await client.post(f"{path}/pause", json={"reason": "mended soon"}), prefix)["paused"]
    body = {"name": "resize", "queue": name, "key": "a"}
    job_id = data_of(await client.post(f"{prefix}/jobs", json=body), prefix, 201)["job_id"]
    changed = data_of(await client.patch(f"{prefix}/jobs/{job_id}", json={"priority": 9}), prefix)
    assert changed == {"job_id": job_id, "status": "pending"}
    assert data_of(await client.get(path), prefix)["ready"] == 1
    assert name in {queue["name"] for queue in data_of(await client.get(f"{prefix}/queues"), prefix)}
    assert data_of(await client.post(f"{path}/resume"), prefix) == told
    assert data_of(await client.post(f"{path}/drain"), prefix) == {"name": name, "cancelled": 1}
    assert data_of(await client.get(f"{path}/history"), prefix)[0]["eventtype"] == "queue.opened"


@versions
async def test_circuits_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    path = f"{prefix}/circuits/{name}"
    told = {"name": name, "state": "closed"}
    assert data_of(await client.put(path, json={"failures": 2, "window": 5}), prefix) == told
    circuit = data_of(await client.get(path), prefix)
    assert (circuit["state"], circuit["policy"]["failures"], circuit["held"]) == ("closed", 2, 0)
    assert name in {each["name"] for each in data_of(await client.get(f"{prefix}/circuits"), prefix)}
    assert data_of(await client.post(f"{path}/reset", json={"reason": "mended"}), prefix) == told


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
    assert data_of(await client.get(f"{prefix}/jobs/{job_id}"), prefix)["name"] == "resize"
    listed = await client.get(f"{prefix}/schedules", params={"limit": 1, "paused": False})
    assert len(data_of(listed, prefix)) == 1
    assert data_of(await client.delete(path), prefix) == {"success": True}
    assert (await client.get(path)).status_code == 404


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
    assert data_of(await client.post(f"{path}/resume"), prefix)["checkpoint"] == [1]
    assert data_of(await client.post(f"{path}/complete", json={"result": {"n": 1}}), prefix)["result"] == {"n": 1}
    listed = data_of(await client.get(f"{prefix}/progress", params={"user_id": name}), prefix)
    assert [each["id"] for each in listed] == [name]
    assert data_of(await client.delete(path), prefix) == {"success": True}
    assert (await client.get(path)).status_code == 404
    other = data_of(await client.post(f"{prefix}/progress"), prefix, 201)["id"]
    assert data_of(await client.post(f"{prefix}/progress/{other}/cancel"), prefix)["status"] == "cancelled"


@versions
async def test_notifications_over_http(bench: Bench, prefix: str) -> None:
    client, user = bench.client, uuid4().hex
    path, whose = f"{prefix}/notifications", {"user_id": user}
    contacts = {"contacts": {"email": "one@example.org"}, "timezone": "Europe/Berlin"}
    assert data_of(await client.put(f"{path}/contacts/{user}", json=contacts), prefix)["timezone"] == "Europe/Berlin"
    assert "email" in data_of(await client.get(f"{path}/contacts/{user}"), prefix)["contacts"]
    preferences = {"channels": ["in-app", "email"], "categories": {}, "quiet_hours": {"start": "22:00", "end": "07:00"}}
    assert data_of(await client.put(f"{path}/preferences", params=whose, json=preferences), prefix)["matrix"] == {}
    told = data_of(await client.get(f"{path}/preferences", params=whose), prefix)
    assert (told["channels"], told["quiet_hours"]["start"]) == (["in-app", "email"], "22:00")
    body = {"type": "info", "title": "File Uploaded", "channels": ["in-app", "email"], "critical": True, **whose}
    sent = data_of(await client.post(path, json=body), prefix, 201)
    assert sent["deliveries"] == {"in-app": "delivered", "email": "queued"}
    assert data_of(await client.get(f"{path}/{sent['notification_id']}"), prefix)["title"] == "File Uploaded"
    many = {"notifications": [{"title": "n", **whose}, {"title": "m", **whose}, {**whose}]}
    answer = data_of(await client.post(f"{path}/bulk", json=many), prefix)
    assert (answer["sent"], answer["refused"], answer["results"][2]["error"]["code"]) == (2, 1, "invalid")
    assert (await client.post(f"{path}/bulk", json={"title": "n"})).status_code == 422
    seen = {"X-Min-Position": answer["results"][1]["position"]}
    assert data_of(await client.get(f"{path}/unread", params=whose, headers=seen), prefix) == {**whose, "unread": 3}
    page = await client.get(path, params={**whose, "unread_only": True, "limit": 2})
    assert [each["title"] for each in data_of(page, prefix)] == ["m", "n"]
    assert 'rel="next"' in page.headers["link"]
    one = f"{path}/{sent['notification_id']}"
    assert (await client.post(f"{one}/read", params={"user_id": "somebody"})).status_code == 404
    assert data_of(await client.post(f"{one}/read"), prefix) == {"success": True}
    assert data_of(await client.post(f"{path}/read", params=whose), prefix) == {"success": True}
    assert data_of(await client.post(f"{one}/snooze", json={"seconds": 600}), prefix) == {"success": True}
    assert data_of(await client.delete(one, params={"reason": "wrong"}), prefix) == {"success": True}

    async def was_sent() -> bool:
        deliveries = data_of(await client.get(one), prefix)["deliveries"]
        return {each["channel"]: each["status"] for each in deliveries}["email"] == "sent"

    mailed = data_of(await client.post(path, json={**body, "channels": ["email"]}), prefix, 201)
    one = f"{path}/{mailed['notification_id']}"
    await until(was_sent)
    receipt = {"channel": "email", "status": "delivered"}
    assert data_of(await client.post(f"{one}/receipt", json=receipt), prefix) == {"success": True}


@versions
async def test_templates_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    path = f"{prefix}/templates/{name}"
    saved = await client.put(path, json={"title": "Hello {{ name }}", "locale": "de"})
    assert data_of(saved, prefix) == {"name": name, "version": 1}
    assert data_of(await client.get(path), prefix)["locales"]["de"]["title"] == "Hello {{ name }}"
    filling = {"context": {"name": "Kim"}, "locale": "de-CH"}
    assert data_of(await client.post(f"{path}/preview", json=filling), prefix)["title"] == "Hello Kim"
    listed = await client.get(f"{prefix}/templates", headers={"X-Min-Position": saved.headers["x-position"]})
    assert name in {each["name"] for each in data_of(listed, prefix)}
    assert data_of(await client.delete(path), prefix) == {"success": True}
    assert (await client.get(path)).status_code == 404


@versions
async def test_events_and_subscriptions_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    created = data_of(await client.post(f"{prefix}/subscriptions", json={"name": name, "pattern": "#"}), prefix, 201)
    event = {"event_type": "shop.item.sold", "payload": {"for": name}}
    assert data_of(await client.post(f"{prefix}/events", json=event), prefix, 201)["event_id"]
    after = {"after": created["position"], "pattern": "shop.#"}
    async with client.stream("GET", f"{prefix}/events", params=after) as stream:
        lines = [line async for line in _until(stream.aiter_lines(), "event: caught-up")]
    told = next(json.loads(line.removeprefix("data: ")) for line in lines if name in line)
    path = f"{prefix}/subscriptions/{name}"
    parked = {"position": told["position"], "event_id": told["id"], "error": "no"}
    data_of(await client.post(f"{path}/park", json=parked), prefix)
    data_of(await client.post(f"{path}/release", json={"event_id": told["id"]}), prefix)
    data_of(await client.post(f"{path}/acknowledge", json={"position": told["position"]}), prefix)
    data_of(await client.patch(path, json={"active": False}), prefix)
    assert data_of(await client.get(path), prefix)["is_active"] is False
    assert name in {each["name"] for each in data_of(await client.get(f"{prefix}/subscriptions"), prefix)}


async def _until(lines: AsyncIterator[str], last: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line == last:
            return


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
