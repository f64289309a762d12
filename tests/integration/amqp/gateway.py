"""A small honest gateway: keeps what it is told in memory, answers a repeated command like the first."""

from __future__ import annotations

import asyncio
from typing import Any

from handlers.problems import refused
from millrace.contracts.wire import Accepted, Batch, Context, Refused, Reply


class MemoryGateway:
    """Knows `job.enqueue`, `job.claim`, `job.renew`, `subscription.lease` and `test.crash`; the query `job.get`.

    Attributes:
        available: false makes it answer `unavailable`, as a service without its store does.
        open: cleared, it makes commands and queries wait inside the gateway until it is set again.
        entered: set when a command is inside.
    """

    def __init__(self) -> None:
        self.available = True
        self.open = asyncio.Event()
        self.open.set()
        self.entered = asyncio.Event()
        self.calls: list[tuple[str, object, Context]] = []
        self.finished: list[str] = []
        self.cancelled: list[str] = []
        self.jobs: dict[str, str] = {}

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        await self._enter(name, body, context)
        if name == "test.crash":
            raise ZeroDivisionError("a defect inside the service")
        if isinstance(body, list):
            reply: Reply = Batch([self._item(name, item, context, index) for index, item in enumerate(body)])
        else:
            reply = self._one(name, body, context)
        self.finished.append(context.message_id)
        return reply

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        await self._enter(name, body, context)
        if name != "job.get":
            return refused("unknown-query", f"there is no query {name!r}")
        return Accepted({"asked": body, "min_position": min_position})

    async def _enter(self, name: str, body: object, context: Context) -> None:
        self.calls.append((name, body, context))
        self.entered.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(context.message_id)
            raise

    def _item(self, name: str, item: Any, context: Context, index: int) -> Accepted | Refused:
        if isinstance(item, dict) and item.keys() == {"id", "body"}:
            return self._one(name, item["body"], context.item(index, item["id"]))
        return self._one(name, item, context.item(index))

    def _one(self, name: str, body: Any, context: Context) -> Accepted | Refused:
        if not self.available:
            return refused("unavailable", "there is no store", retry_after=1.0)
        if name == "job.claim":
            return Accepted({"grants": [], "held": 0.0, "lease": 5.0})
        if name in ("job.renew", "subscription.lease"):
            return Accepted({"lease": 30.0})
        if name != "job.enqueue":
            return refused("unknown-command", f"there is no command {name!r}")
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            return refused("invalid", "name: Field required")
        job_id = self.jobs.setdefault(context.message_id, f"job-{len(self.jobs) + 1}")
        return Accepted({"job_id": job_id}, f"e1-{job_id.removeprefix('job-')}")
