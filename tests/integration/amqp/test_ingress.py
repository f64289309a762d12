"""Commands, queries and claims over the real broker."""

from __future__ import annotations

import asyncio

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from adapters.amqp.bus import AmqpBus
from adapters.amqp.topology import CALLS, CLAIMS, COMMANDS, PARKED, QUERIES
from tests.integration.amqp.caller import Caller
from tests.integration.amqp.conftest import messages_in
from tests.integration.amqp.gateway import MemoryGateway
from tests.integration.amqp.proxy import Proxy
from tests.support.running import until

JOB = {"name": "transcribe"}


async def test_a_command_is_answered_with_its_result_and_position(caller: Caller) -> None:
    reply = await caller.call("default.job.enqueue", JOB)
    assert reply == {"ok": True, "result": {"job_id": "job-1"}, "position": "e1-1"}


async def test_the_envelope_reaches_the_gateway(caller: Caller, gateway: MemoryGateway) -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    headers = {"company": "north", "actor": "ada", "correlation": "c-1", "causation": "e-9", "traceparent": trace}
    await caller.call("acme.job.enqueue", JOB, message_id="m-1", headers=headers)
    name, body, context = gateway.calls[0]
    assert (name, body) == ("job.enqueue", JOB)
    assert (context.tenant, context.message_id, context.principal) == ("acme", "m-1", "anonymous")
    assert (context.company, context.actor, context.traceparent) == ("north", "ada", trace)
    assert (context.correlation_id, context.causation_id) == ("c-1", "e-9")


async def test_the_user_that_the_broker_vouches_for_is_the_principal(
    caller: Caller, gateway: MemoryGateway, broker_url: str
) -> None:
    user = URL(broker_url).user or "guest"
    await caller.call("default.job.enqueue", JOB, user_id=user)
    assert gateway.calls[0][2].principal == user


async def test_stopping_answers_what_is_under_way(bus: AmqpBus, caller: Caller, gateway: MemoryGateway) -> None:
    gateway.open.clear()
    call = asyncio.create_task(caller.call("default.job.enqueue", JOB))
    await gateway.entered.wait()
    stopping = asyncio.create_task(bus.stop())
    await until(lambda: not bus.healthy)
    gateway.open.set()
    assert (await call)["ok"]
    await stopping


async def test_a_batch_is_answered_item_by_item_and_a_bad_item_harms_no_other(caller: Caller) -> None:
    reply = await caller.call("default.job.enqueue", [JOB, {"nom": "?"}, {"id": "own", "body": JOB}])
    assert [item["ok"] for item in reply["results"]] == [True, False, True]


async def test_cloud_events_bring_their_own_ids(caller: Caller, gateway: MemoryGateway) -> None:
    event = {"specversion": "1.0", "id": "ce-1", "source": "/app", "type": "job.enqueue", "data": JOB}
    single = await caller.call(
        "default.job.enqueue", event | {"correlationid": "c-2"}, content_type="application/cloudevents+json"
    )
    assert single["ok"]
    assert (gateway.calls[0][2].message_id, gateway.calls[0][2].correlation_id) == ("ce-1", "c-2")
    batch = await caller.call(
        "default.job.enqueue", [event, event | {"id": "ce-2"}], content_type="application/cloudevents-batch+json"
    )
    assert [item["result"]["job_id"] for item in batch["results"]] == ["job-1", "job-2"]


BAD_MESSAGES = {
    "malformed json": (dict(body=b'{"name": '), "malformed"),
    "not utf-8": (dict(body=b'{"name": "\xff\xfe"}'), "malformed"),
    "lone surrogate": (dict(body=b'{"name": "\\ud800"}'), "malformed"),
    "not a number": (dict(body=b'{"name": NaN}'), "malformed"),
    "nested too deep": (dict(body=b"[" * 100_000), "malformed"),
    "neither object nor array": (dict(body=b'"text"'), "malformed"),
    "empty": (dict(body=b""), "malformed"),
    "too large": (dict(body=b'{"name": "' + b"x" * 1_048_577 + b'"}'), "too-large"),
    "unsupported content type": (dict(content_type="application/xml"), "unsupported-media-type"),
    "compressed": (dict(content_encoding="gzip"), "unsupported-media-type"),
    "unknown command": (dict(key="default.job.unheard_of"), "unknown-command"),
    "routing key of one word": (dict(key="default"), "malformed"),
    "tenant with forbidden characters": (dict(key="a b.job.enqueue"), "malformed"),
    "other tenant in the header": (dict(headers={"tenant": "other"}), "malformed"),
    "header of another type": (dict(headers={"company": 7}), "malformed"),
    "header that is not utf-8": (dict(headers={"actor": bytearray(b"\xff\xfe")}), "malformed"),
    "header with control characters": (dict(headers={"actor": "a\x00b"}), "malformed"),
    "message id too long": (dict(message_id="m" * 200), "malformed"),
    "cloud event without an id": (
        dict(body=b'{"specversion": "1.0", "data": {}}', content_type="application/cloudevents+json"),
        "malformed",
    ),
    "cloud event of another tenant": (
        dict(
            body=b'{"specversion":"1.0","id":"1","source":"/","type":"t","tenant":"other","data":{}}',
            content_type="application/cloudevents+json",
        ),
        "malformed",
    ),
    "does not fit its contract": (dict(body=b"{}"), "invalid"),
}


@pytest.mark.parametrize(("properties", "code"), BAD_MESSAGES.values(), ids=BAD_MESSAGES)
async def test_bad_input_gets_a_typed_refusal_and_the_next_command_is_served(
    caller: Caller, connection: AbstractConnection, properties: dict[str, object], code: str
) -> None:
    properties = {"key": "default.job.enqueue", "body": JOB, **properties}
    refusal = await caller.call(**properties)  # type: ignore[arg-type]
    assert (refusal["ok"], refusal["error"]["code"]) == (False, code)
    assert (await caller.call("default.job.enqueue", JOB))["ok"]
    assert await messages_in(connection, PARKED) == 0


async def test_bad_input_without_a_return_address_is_parked_with_the_reason(
    caller: Caller, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    await caller.publish("default.job.enqueue", b"{", message_id="m-1", headers={"actor": "ada"})
    await until(lambda: _holds(connection, PARKED, 1))
    parked = await (await channel.get_queue(PARKED)).get(no_ack=True)
    assert (parked.body, parked.message_id) == (b"{", "m-1")
    assert parked.headers["reason"] == "malformed"
    assert parked.headers["handler"] == "adapters.amqp"
    assert parked.headers["routing_key"] == "default.job.enqueue"
    assert parked.headers["actor"] == "ada"
    assert "not JSON" in str(parked.headers["error"])
    assert (await caller.call("default.job.enqueue", JOB))["ok"]


async def test_an_answer_is_never_sent_into_our_own_queues(
    caller: Caller, gateway: MemoryGateway, connection: AbstractConnection
) -> None:
    await caller.publish("default.job.enqueue", JOB, message_id="m-1", reply_to="millrace.sub.other.orders")
    await until(lambda: _holds(connection, PARKED, 1))
    assert gateway.calls == []


async def test_a_defect_inside_the_service_is_answered_and_parked(
    caller: Caller, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    reply = await caller.call("default.test.crash", {})
    assert (reply["error"]["code"], reply["error"]["status"]) == ("internal", 500)
    assert "ZeroDivision" not in str(reply)
    await until(lambda: _holds(connection, PARKED, 1))
    assert (await (await channel.get_queue(PARKED)).get(no_ack=True)).headers["reason"] == "internal"
    await until(lambda: _holds(connection, COMMANDS, 0))


async def test_without_a_store_a_sender_who_waits_is_told_so(caller: Caller, gateway: MemoryGateway) -> None:
    gateway.available = False
    reply = await caller.call("default.job.enqueue", JOB)
    assert (reply["error"]["code"], reply["error"]["retry_after"]) == ("unavailable", 1.0)


async def test_without_a_store_a_command_nobody_waits_for_is_held_and_carried_out_later(
    caller: Caller, gateway: MemoryGateway, connection: AbstractConnection
) -> None:
    gateway.available = False
    await caller.publish("default.job.enqueue", JOB, message_id="m-1")
    await until(lambda: len(gateway.calls) >= 3)
    gateway.available = True
    await until(lambda: "m-1" in gateway.jobs)
    assert len(gateway.calls) < 10
    assert await messages_in(connection, PARKED) == 0


async def test_a_lost_connection_cancels_no_command_and_the_repetition_gets_the_same_answer(
    bus: AmqpBus, caller: Caller, gateway: MemoryGateway, proxy: Proxy, connection: AbstractConnection
) -> None:
    gateway.open.clear()
    call = asyncio.create_task(caller.call("default.job.enqueue", JOB, message_id="m-1"))
    await gateway.entered.wait()
    gateway.entered.clear()
    proxy.cut()
    await until(lambda: not bus.healthy)
    await gateway.entered.wait()  # the broker delivered it again on the new connection
    gateway.open.set()
    reply = await call
    assert reply["result"] == {"job_id": "job-1"}
    await until(lambda: gateway.finished == ["m-1", "m-1"])
    assert gateway.cancelled == []
    assert len(gateway.jobs) == 1
    await until(lambda: _holds(connection, COMMANDS, 0))


async def test_commands_survive_connections_that_are_cut_again_and_again(
    bus: AmqpBus, caller: Caller, gateway: MemoryGateway, proxy: Proxy, connection: AbstractConnection
) -> None:
    for cut in range(5):
        for index in range(40):
            await caller.publish("default.job.enqueue", JOB, message_id=f"m-{cut}-{index}")
        proxy.cut()
    await until(lambda: len(gateway.jobs) == 200)
    await until(lambda: bus.healthy)
    assert gateway.cancelled == []
    assert await messages_in(connection, PARKED) == 0


async def test_a_broker_that_is_away_is_named_and_found_again(bus: AmqpBus, caller: Caller, proxy: Proxy) -> None:
    proxy.refusing = True
    proxy.cut()
    await until(lambda: not bus.healthy and bus.problem is not None)
    proxy.refusing = False
    await until(lambda: bus.healthy)
    assert (await caller.call("default.job.enqueue", JOB))["ok"]


async def test_a_deleted_queue_comes_back_while_the_service_runs(
    bus: AmqpBus, caller: Caller, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    await channel.queue_delete(COMMANDS)
    await until(lambda: _consumed(connection, COMMANDS))
    assert (await caller.call("default.job.enqueue", JOB))["ok"]


async def test_queries_carry_the_position_they_must_see(caller: Caller) -> None:
    reply = await caller.call("default.job.get", {"job_id": "1"}, exchange=QUERIES, headers={"min_position": "e1-7"})
    assert reply["result"] == {"asked": {"job_id": "1"}, "min_position": "e1-7"}
    refusal = await caller.call("default.job.unheard_of", {}, exchange=QUERIES)
    assert refusal["error"]["code"] == "unknown-query"


async def test_a_claim_among_the_commands_is_acknowledged_on_receipt(
    caller: Caller, gateway: MemoryGateway, connection: AbstractConnection
) -> None:
    gateway.open.clear()
    call = asyncio.create_task(caller.call("default.job.claim", {"worker": "w"}, exchange=COMMANDS))
    await until(lambda: len(gateway.calls) == 1)
    async with connection.channel() as channel:
        deleted = await channel.queue_delete(COMMANDS)
        assert deleted.message_count == 0, "unacknowledged messages count here"
    gateway.open.set()
    assert (await call)["result"]["grants"] == []


async def test_a_claim_is_acknowledged_when_it_is_answered(
    caller: Caller, gateway: MemoryGateway, connection: AbstractConnection
) -> None:
    assert (await caller.call("default.job.claim", {"worker": "w"}, exchange=CLAIMS))["ok"]
    await until(lambda: _holds(connection, CLAIMS, 0))
    async with connection.channel() as channel:
        deleted = await channel.queue_delete(CLAIMS)
        assert deleted.message_count == 0, "unacknowledged messages count here"


@pytest.mark.parametrize(
    ("exchange", "name", "body"),
    [(CLAIMS, "job.claim", {"worker": "w"}), (QUERIES, "job.get", {"job_id": "1"})],
    ids=["a claim", "a question"],
)
async def test_what_was_held_when_the_connection_broke_is_taken_up_again(
    bus: AmqpBus, caller: Caller, gateway: MemoryGateway, proxy: Proxy, exchange: str, name: str, body: dict[str, str]
) -> None:
    gateway.open.clear()
    call = asyncio.create_task(caller.call(f"default.{name}", body, exchange=exchange, message_id="h-1"))
    await until(lambda: len(gateway.calls) == 1)
    proxy.cut()
    await until(lambda: len(gateway.calls) == 2)
    assert gateway.cancelled == ["h-1"], "held twice, a claim would be granted twice"
    await until(lambda: bus.healthy and bus.publisher.connected)
    gateway.open.set()
    assert (await call)["ok"]


@pytest.mark.parametrize("name", ["job.renew", "subscription.lease"])
async def test_leases_are_served_beside_the_claims_or_the_commands(caller: Caller, name: str) -> None:
    for exchange in (CLAIMS, COMMANDS):
        assert (await caller.call(f"default.{name}", {}, exchange=exchange))["ok"]


async def test_a_command_whose_sender_waits_may_travel_unkept(caller: Caller, gateway: MemoryGateway) -> None:
    assert (await caller.call("default.job.enqueue", JOB, exchange=CALLS, message_id="m-1"))["ok"]
    assert [(name, context.message_id) for name, _, context in gateway.calls] == [("job.enqueue", "m-1")]


async def test_only_headers_say_what_a_command_belongs_to(caller: Caller, gateway: MemoryGateway) -> None:
    await caller.call("default.job.enqueue", JOB)
    await caller.call("default.job.enqueue", JOB, headers={"correlation": "c-1", "causation": "e-1"})
    first, second = (context for _, _, context in gateway.calls)
    assert (first.correlation_id, first.causation_id) == (None, None), "the property only matches replies"
    assert (second.correlation_id, second.causation_id) == ("c-1", "e-1")


async def test_only_claims_and_leases_are_taken_where_messages_may_be_lost(caller: Caller) -> None:
    reply = await caller.call("default.job.enqueue", JOB, exchange=CLAIMS)
    assert reply["error"]["code"] == "unknown-command"


async def _holds(connection: AbstractConnection, queue: str, messages: int) -> bool:
    return await messages_in(connection, queue) == messages


async def _consumed(connection: AbstractConnection, queue: str) -> bool:
    async with connection.channel() as channel:
        try:
            declared = await channel.declare_queue(queue, passive=True)
        except Exception:
            return False
        return bool(declared.declaration_result.consumer_count)
