"""Bad input over HTTP and over AMQP: each a typed error, the rest unharmed, and nobody after it is kept waiting."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel

from adapters.amqp.topology import COMMANDS, PARKED
from millrace.contracts.wire import MAX_BODY_BYTES
from tests.integration.amqp.caller import Caller
from tests.support.running import Running, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOB = {"name": "transcribe"}
OVERSIZED = json.dumps({"name": "x", "data": {"text": "x" * MAX_BODY_BYTES}}).encode()


@dataclass(frozen=True, slots=True)
class Bad:
    """A message that must be refused: with which code, over HTTP also with which status."""

    code: str
    status: int
    body: bytes | dict[str, Any] | list[Any] | str = field(default_factory=lambda: dict(JOB))
    command: str = "job.enqueue"
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    key: str | None = None

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


EVERYWHERE = {
    "JSON that ends too early": Bad("malformed", 400, b'{"name": "tran'),
    "no JSON at all": Bad("malformed", 400, b"name=transcribe"),
    "text that is not UTF-8": Bad("malformed", 400, b'{"name": "tran\xff\xfe"}'),
    "half a surrogate pair": Bad("malformed", 400, b'{"name": "\\ud800"}'),
    "a number that is not finite": Bad("malformed", 400, b'{"name": "x", "delay": NaN}'),
    "brackets without end": Bad("malformed", 400, b"[" * 100_000),
    "a text where a number belongs": Bad("invalid", 422, {"name": "x", "priority": "high"}),
    "a number where a text belongs": Bad("invalid", 422, {"name": 5}),
    "a field that nobody knows": Bad("invalid", 422, {"name": "x", "colour": "red"}),
    "a time outside the calendar": Bad("invalid", 422, {"name": "x", "run_at": "9999-12-31T23:59:59-12:00"}),
    "a number that no column holds": Bad(
        "invalid", 422, {"worker": "w", "attempts": [{"job_id": "x", "attempt": 3_000_000_000}]}, command="job.renew"
    ),
    "a missing field": Bad("invalid", 422, {}),
    "a NUL character": Bad("invalid", 422, {"name": "x", "data": {"text": "a\x00b"}}),
    "both names of a field": Bad("invalid", 422, {"name": "x", "data": {}, "payload": {}}),
    "an unknown command": Bad("unknown-command", 404, command="job.explode"),
    "a query sent as a command": Bad("unknown-command", 404, command="job.list"),
    "a job that does not exist": Bad("not-found", 404, {"job_id": "nobody"}, command="job.cancel"),
    "a body over a mebibyte": Bad("too-large", 413, OVERSIZED),
    "another content type": Bad(
        "unsupported-media-type",
        415,
        headers={"Content-Type": "text/plain"},
        properties={"content_type": "text/plain"},
    ),
    "a compressed body": Bad(
        "unsupported-media-type", 415, headers={"Content-Encoding": "gzip"}, properties={"content_encoding": "gzip"}
    ),
}
HTTP_ONLY = {
    "a tenant with a blank": Bad("malformed", 400, headers={"X-Tenant-Id": "a b"}),
    "a company with a slash": Bad("malformed", 400, headers={"X-Company-Id": "a/b"}),
    "an idempotency key that is not ASCII": Bad("malformed", 400, headers={"Idempotency-Key": "schl\xfcssel"}),
    "an idempotency key without end": Bad("malformed", 400, headers={"Idempotency-Key": "k" * 129}),
    "another host": Bad("forbidden", 403, headers={"Host": "evil.example"}),
    "another origin": Bad("forbidden", 403, headers={"Origin": "https://evil.example"}),
    "a number as body": Bad("invalid", 422, b"5"),
}
AMQP_ONLY = {
    "a header that contradicts the key": Bad("malformed", 400, properties={"headers": {"tenant": "other"}}),
    "a company with a slash": Bad("malformed", 400, properties={"headers": {"company": "a/b"}}),
    "a header of another type": Bad("malformed", 400, properties={"headers": {"actor": 5}}),
    "a message id without end": Bad("malformed", 400, properties={"message_id": "m" * 129}),
    "a message id with a line break": Bad("malformed", 400, properties={"message_id": "a\nb"}),
    "a routing key of one word": Bad("malformed", 400, key="default"),
    "a routing key with a tenant that cannot be": Bad("malformed", 400, key="de fault.job.enqueue"),
    "a number as body": Bad("malformed", 400, b"5"),
    "no body": Bad("malformed", 400, b""),
}

OVER_HTTP = EVERYWHERE | HTTP_ONLY
OVER_AMQP = EVERYWHERE | AMQP_ONLY


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(database_url: str, rabbitmq_url: str) -> AsyncIterator[Running]:
    async with running(database_url, rabbitmq_url) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with service.client() as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(service: Running, rabbitmq_url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(rabbitmq_url, timeout=60) as connection, connection.channel() as channel:
        yield channel


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(channel: AbstractChannel) -> Caller:
    return await Caller.on(channel)


async def jobs_named(client: httpx.AsyncClient, name: str, position: str) -> int:
    headers = {"X-Min-Position": position}
    answer = await client.post("/api/queries/job.list", json={"name": name}, headers=headers)
    return len(answer.json()["result"]["jobs"])


@pytest.mark.parametrize("bad", OVER_HTTP.values(), ids=OVER_HTTP)
async def test_bad_input_over_http_is_a_typed_error(client: httpx.AsyncClient, bad: Bad) -> None:
    headers = {"Content-Type": "application/json", **bad.headers}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await client.post(f"/api/commands/{bad.command}", content=bad.content, headers=raw)
    reply = answer.json()
    assert (answer.status_code, reply["ok"], reply["error"]["code"]) == (bad.status, False, bad.code)
    assert reply["error"]["detail"]
    assert (await client.post("/api/commands/job.enqueue", json=JOB)).json()["ok"]


@pytest.mark.parametrize("bad", OVER_AMQP.values(), ids=OVER_AMQP)
async def test_bad_input_over_amqp_is_a_typed_error_and_the_next_command_is_answered(caller: Caller, bad: Bad) -> None:
    key = bad.key or f"default.{bad.command}"
    reply = await caller.call(key, bad.content, **bad.properties)
    assert (reply["ok"], reply["error"]["code"], reply["error"]["status"]) == (False, bad.code, bad.status)
    assert reply["error"]["detail"]
    assert (await caller.call("default.job.enqueue", JOB))["ok"]


@pytest.mark.parametrize("bad", OVER_AMQP.values(), ids=OVER_AMQP)
async def test_bad_input_that_nobody_waits_for_is_parked_with_its_reason(
    caller: Caller, channel: AbstractChannel, bad: Bad
) -> None:
    parked = await channel.get_queue(PARKED)
    await parked.purge()
    key = bad.key or f"default.{bad.command}"
    properties = {"message_id": uuid4().hex, "content_type": "application/json", **bad.properties}
    await caller.publish(key, bad.content, **properties)
    assert (await caller.call("default.job.enqueue", JOB))["ok"]
    found: list[aio_pika.abc.AbstractIncomingMessage] = []

    async def arrived() -> bool:
        message = await parked.get(no_ack=True, fail=False)
        if message is not None:
            found.append(message)
        return bool(found)

    await until(arrived)
    assert found[0].body == bad.content
    headers = found[0].headers
    assert (headers["reason"], headers["handler"], headers["routing_key"]) == (bad.code, "adapters.amqp", key)
    assert headers["error"]
    assert (await channel.declare_queue(COMMANDS, passive=True)).declaration_result.message_count == 0


async def test_a_bad_item_over_http_harms_no_other_of_its_batch(client: httpx.AsyncClient) -> None:
    name = uuid4().hex
    batch = [{"name": name}, {"name": 5}, {"name": name, "colour": "red"}, 7, {"id": "own", "body": {"name": name}}]
    answer = await client.post("/api/commands/job.enqueue", json=batch)
    results = answer.json()["results"]
    assert (answer.status_code, [one["ok"] for one in results]) == (200, [True, False, False, False, True])
    assert {one["error"]["code"] for one in results if not one["ok"]} == {"invalid"}
    assert await jobs_named(client, name, results[-1]["position"]) == 2


async def test_a_bad_item_over_amqp_harms_no_other_of_its_batch(caller: Caller, client: httpx.AsyncClient) -> None:
    name = uuid4().hex
    reply = await caller.call("default.job.enqueue", [{"name": name}, {"name": 5}, [], {"name": name}])
    assert (reply["ok"], [one["ok"] for one in reply["results"]]) == (True, [True, False, False, True])
    assert await jobs_named(client, name, reply["results"][-1]["position"]) == 2


async def test_a_batch_over_its_limit_is_refused_as_a_whole(caller: Caller, client: httpx.AsyncClient) -> None:
    batch = [{"name": "x"}] * 10_001
    over_http = (await client.post("/api/commands/job.enqueue", json=batch)).json()
    over_amqp = await caller.call("default.job.enqueue", batch)
    assert over_http["error"]["code"] == over_amqp["error"]["code"] == "too-large"


BAD_QUERIES = [
    ("job.list", b"{", "malformed"),
    ("job.list", b'{"limit": 0}', "invalid"),
    ("job.list", b'{"cursor": "zzz"}', "invalid"),
    ("job.list", b'{"cursor": "99999999999999999999999"}', "invalid"),
    ("schedule.list", b'{"cursor": "\\u0000"}', "invalid"),
    ("job.explode", b"{}", "unknown-query"),
    ("job.get", b'{"job_id": "nobody"}', "not-found"),
    ("log.history", b'{"kind": "job", "id": "x", "after_version": 99999999999999999999}', "invalid"),
    ("log.state", b'{"kind": "job", "id": "x", "at": "yesterday"}', "invalid"),
    ("log.state", b'{"kind": "job", "id": "x", "at": "9999-12-31T23:59:59-12:00"}', "invalid"),
    ("log.state", b'{"kind": "unicorn", "id": "x"}', "not-found"),
    ("log.read", b'{"after": "nonsense"}', "invalid"),
    ("log.read", b'{"after": "otherlog-1"}', "reset"),
    ("log.read", b'{"pattern": "job..x"}', "invalid"),
]


@pytest.mark.parametrize(("name", "body", "code"), BAD_QUERIES)
async def test_a_bad_query_is_the_same_typed_error_over_both(
    caller: Caller, client: httpx.AsyncClient, name: str, body: bytes, code: str
) -> None:
    over_amqp = await caller.call(f"default.{name}", body, exchange="millrace.queries")
    headers = {"Content-Type": "application/json"}
    over_http = (await client.post(f"/api/queries/{name}", content=body, headers=headers)).json()
    assert (over_amqp["ok"], over_amqp["error"]["code"]) == (False, code)
    assert (over_http["ok"], over_http["error"]["code"]) == (False, code)
