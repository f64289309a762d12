"""Calls of every operation, with every answer checked against the documents."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import jsonschema
import pytest
from aio_pika.abc import AbstractQueue

from infra.documents import DOCS
from millrace.contracts.catalogue import EVENTS
from tests.integration.amqp.caller import Caller
from tests.support.eventually import eventually
from tests.support.running import until
from tests.support.systems import PASSING

SPECIFICATION: dict[str, Any] = json.loads((DOCS / "asyncapi.json").read_text())
ERROR = {"type": "ValueError", "message": "no"}
versions = pytest.mark.parametrize("prefix", ["/api", "/api/v1"])


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
        call = partial(
            self.caller.call,
            channel["address"].format(tenant="every"),
            body,
            exchange=channel["bindings"]["amqp"]["exchange"]["name"],
            headers={} if position is None else {"min_position": position},
            message_id=uuid4().hex,
        )
        # With the same id, for what goes by itself.
        reply = await eventually(call, lambda reply: reply["ok"] or reply["error"]["code"] not in PASSING)
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


def data_of(answer: httpx.Response, prefix: str, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    if prefix == "/api":
        return answer.json()
    assert answer.json()["status"] == "success"
    return answer.json()["data"]
