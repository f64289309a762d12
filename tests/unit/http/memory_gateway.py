"""A gateway in memory: honest about validation, idempotency, tenants, claims and the log, without a store behind it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from millrace.contracts import event, job, log
from millrace.contracts.catalogue import COMMANDS, QUERIES
from millrace.contracts.wire import (
    Accepted,
    Batch,
    Context,
    Message,
    Problem,
    Refused,
    Reply,
    Token,
    derived_id,
    matches,
)

EPOCH = "e1"


def refused(status: int, code: str, detail: str = "refused", **more: Any) -> Refused:
    return Refused(Problem(title="Refused", status=status, code=code, detail=detail, **more))


@dataclass
class MemoryGateway:
    """Answers as the real one does.

    Attributes:
        first: oldest position that is kept.
        held: set once a claim is being held.
        canceled: set once a held claim was withdrawn.
        outages: how many reads of the log will be refused.
    """

    jobs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)
    answers: dict[tuple[str, str, str], tuple[bytes, Accepted | Refused]] = field(default_factory=dict)
    first: int = 0
    canceled: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    outages: int = 0

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        self.contexts.append(context)
        if name == "test.broken":
            raise RuntimeError("password=hunter2")
        if name not in COMMANDS:
            return refused(404, "unknown-command", "there is no such command")
        if isinstance(body, list):
            items = [self._item(item, context, index) for index, item in enumerate(body)]
            return Batch([await self._execute(name, item, own) for item, own in items])
        return await self._execute(name, body, context)

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        self.contexts.append(context)
        if min_position is not None and Token.parse(min_position).position > len(self.events):
            return refused(504, "behind")
        if name not in QUERIES:
            return refused(404, "unknown-query", "there is no such query")
        try:
            asked = QUERIES[name].model_validate(body)
        except ValidationError as error:
            return refused(422, "invalid", str(error.error_count()))
        return await self._answer(asked, context)

    async def record(self, event_type: str, context: Context, subject: str, data: dict[str, Any]) -> str:
        position = str(Token(epoch=EPOCH, position=len(self.events) + 1))
        version = 1 + sum(one["subject"] == subject for one in self.events)
        made = log.CloudEvent(
            id=f"event-{position}", source="/millrace", type=event_type, subject=subject, time=datetime.now(UTC),
            data=data, eventtype=event_type, tenant=context.tenant, position=position, version=version,
            correlationid=context.correlation_id,
        )  # fmt: skip
        async with self.changed:
            self.events.append(made.model_dump(mode="json"))
            self.changed.notify_all()
        return position

    def _item(self, item: Any, context: Context, index: int) -> tuple[object, Context]:
        if isinstance(item, dict) and set(item) == {"id", "body"}:
            return item["body"], context.item(index, item["id"])
        return item, context.item(index)

    async def _execute(self, name: str, body: object, context: Context) -> Accepted | Refused:
        try:
            command = COMMANDS[name].model_validate(body)
        except ValidationError as error:
            return refused(422, "invalid", "the body is not valid", errors=[{"count": error.error_count()}])
        key = (context.tenant, context.principal, context.message_id)
        digest = to_json([name, body])
        if key in self.answers:
            known, answer = self.answers[key]
            return answer if known == digest else refused(422, "idempotency-mismatch")
        answer = await self._carry_out(command, context)
        if not isinstance(command, job.Claim):
            self.answers[key] = (digest, answer)
        return answer

    async def _carry_out(self, command: Message, context: Context) -> Accepted | Refused:
        match command:
            case job.Enqueue():
                id = derived_id(context.tenant, context.message_id)
                row = job.Job(id=id, created_at=datetime.now(UTC), status=job.JobStatus.PENDING, **_fields(command))
                self.jobs[context.tenant, id] = row.model_dump(mode="json")
                position = await self.record("job.enqueued", context, id, command.data)
                return Accepted({"job_id": id, "status": "pending", "created_at": row.created_at}, position)
            case job.Cancel() | job.Remove() | job.RetryDead():
                if (context.tenant, command.job_id) not in self.jobs:
                    return refused(404, "not-found", "there is no such job")
                self.jobs[context.tenant, command.job_id]["status"] = "cancelled"
                return Accepted({"job_id": command.job_id, "status": "cancelled", "success": True})
            case job.Claim():
                return await self._claim(command)
            case event.Publish():
                id = derived_id(context.tenant, context.message_id)
                return Accepted({"event_id": id}, await self.record(command.event_type, context, id, command.payload))
            case event.Subscribe() | event.SetActive() | event.Acknowledge():
                return Accepted({"name": command.name, "command": type(command).__name__})
            case _:
                raise NotImplementedError(type(command).__name__)

    async def _claim(self, command: job.Claim) -> Accepted:
        self.held.set()
        try:
            await asyncio.sleep(command.wait)
        except asyncio.CancelledError:
            self.canceled.set()
            raise
        return Accepted({"grants": [], "held": command.wait, "lease": 5.0})

    async def _answer(self, asked: Message, context: Context) -> Accepted | Refused:
        match asked:
            case job.GetJob():
                found = self.jobs.get((context.tenant, asked.job_id))
                return Accepted({"job": found}) if found else refused(404, "not-found", "there is no such job")
            case job.ListJobs():
                rows = [row for (tenant, _), row in self.jobs.items() if tenant == context.tenant]
                rows = [row for row in rows if asked.status in (None, row["status"])]
                start = int(asked.cursor or 0)
                end = start + asked.limit
                cursor = str(end) if end < len(rows) else None
                return Accepted({"jobs": rows[start:end], "cursor": cursor})
            case job.JobStats():
                return Accepted(job.Stats(pending=len(self.jobs)).model_dump())
            case log.GetHistory():
                mine = [one for one in self._of(context) if one["subject"] == asked.id]
                later = [one for one in mine if one["version"] > asked.after_version]
                return Accepted({"events": later[: asked.limit]})
            case log.GetState():
                return Accepted({"kind": asked.kind, "id": asked.id, "version": 1, "state": {"at": asked.at}})
            case log.GetCauses():
                return Accepted({"events": self._of(context)})
            case log.ReadLog():
                return await self._read(asked, context)
            case event.ListSubscriptions():
                return Accepted({"subscriptions": []})
            case _:
                return refused(404, "not-found")

    async def _read(self, asked: log.ReadLog, context: Context) -> Accepted | Refused:
        if self.outages:
            self.outages -= 1
            return refused(503, "unavailable", retry_after=0.01)
        position = 0
        if asked.after == "head":
            position = len(self.events)
        elif asked.after != "beginning":
            token = Token.parse(asked.after)
            if token.epoch != EPOCH:
                return refused(409, "reset")
            position = token.position
        if position < self.first:
            return refused(410, "gone", "the oldest position that is kept is another")
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(lambda: len(self.events) > position), asked.wait or 0.001)
            except TimeoutError:
                pass
        found = [one for one in self.events[position:] if one["tenant"] == context.tenant]
        page = [
            one for one in found if matches(asked.pattern, one["eventtype"]) and asked.subject in (None, one["subject"])
        ][: asked.limit]
        caught_up = len(page) < asked.limit
        end = str(Token(epoch=EPOCH, position=len(self.events)))
        return Accepted(
            {"events": page, "position": end if caught_up else page[-1]["position"], "caught_up": caught_up}
        )

    def _of(self, context: Context) -> list[dict[str, Any]]:
        return [one for one in self.events if one["tenant"] == context.tenant]


def _fields(command: job.Enqueue) -> dict[str, Any]:
    return {"name": command.name, "data": command.data, "queue": command.queue, "priority": command.priority}
