"""A stand-in for the service at its HTTP boundary: the same wire, jobs and a log in memory, and faults on request."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from millrace.contracts.event import COMMANDS as EVENT_COMMANDS
from millrace.contracts.job import COMMANDS as JOB_COMMANDS
from millrace.contracts.wire import derived_id, matches

COMMANDS = {**JOB_COMMANDS, **EVENT_COMMANDS}
NOT_RECORDED = ("job.claim", "job.renew", "job.withdraw", "job.log", "job.upload", "subscription.lease")
ENDINGS = {"completed": "job.completed", "failed": "job.dead_lettered", "returned": "job.attempt_returned"}


class Refusal(Exception):
    def __init__(self, status: int, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.problem = {"title": code, "status": status, "code": code, "detail": detail, **extra}


class Lost(Response):
    """Closes the connection in the middle of the answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionAbortedError


class WireService:
    """Attributes:
    lease: seconds granted by a renewal; `unconfirmed` those that come with a grant.
    swallow: how many answers to the next commands of a name are lost after the command was carried out.
    overloaded: how many of the next commands of a name are answered with 503.
    refuse_renewals: renewals are answered with 503.
    renewals: the jobs that each renewal named.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.ready: list[str] = []
        self.log: list[dict[str, Any]] = []
        self.lines: list[tuple[str, int, int, str]] = []
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.inbox: dict[str, dict[str, Any]] = {}
        self.messages: Counter[str] = Counter()
        self.headers: list[tuple[str, dict[str, str]]] = []
        self.lost: set[tuple[str, int]] = set()
        self.lease, self.unconfirmed = 30.0, 5.0
        self.swallow: Counter[str] = Counter()
        self.overloaded: Counter[str] = Counter()
        self.refuse_renewals = False
        self.renewals: list[list[str]] = []
        self.changed = asyncio.Condition()

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/commands/{name}", self._commands, methods=["POST"]),
                Route("/api/queries/{name}", self._queries, methods=["POST"]),
            ]
        )

    async def until(self, condition: Any) -> None:
        """Waits until a condition on this object holds."""
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: condition(self)), 30)

    def job(self, job_id: str) -> dict[str, Any]:
        return self.jobs[job_id]

    async def _commands(self, request: Request) -> Response:
        name, message_id = request.path_params["name"], request.headers["Idempotency-Key"]
        self.messages[name] += 1
        self.headers.append((name, dict(request.headers)))
        if self.overloaded[name] > 0:
            self.overloaded[name] -= 1
            return answer(Refusal(503, "unavailable", "overloaded", retry_after=0.01))
        body = await request.json()
        correlation = request.headers.get("X-Correlation-Id")
        if isinstance(body, list):
            items = [await self._item(name, item["body"], item["id"], correlation) for item in body]
            reply: dict[str, Any] = {"ok": True, "results": items}
        else:
            reply = await self._item(name, body, message_id, correlation)
        async with self.changed:
            self.changed.notify_all()
        if self.swallow[name] > 0:
            self.swallow[name] -= 1
            return Lost()
        status = 200 if reply["ok"] else reply["error"]["status"]
        return Response(to_json(reply), status, media_type="application/json")

    async def _item(self, name: str, body: dict[str, Any], item_id: str, correlation: str | None) -> dict[str, Any]:
        known = self.inbox.get(item_id)
        if known is not None:
            return known
        try:
            command = COMMANDS[name].model_validate(body)
            result = await getattr(self, "_" + name.replace(".", "_"))(command, item_id, correlation)
            reply = {"ok": True, "result": result, "position": f"e-{len(self.log)}"}
        except Refusal as refusal:
            return {"ok": False, "error": refusal.problem}
        except ValueError as error:
            return {"ok": False, "error": Refusal(422, "invalid", str(error)).problem}
        if name not in NOT_RECORDED:
            self.inbox[item_id] = reply
        return reply

    def _record(self, kind: str, subject: str, data: dict[str, Any], correlation: str | None = None) -> str:
        position = f"e-{len(self.log) + 1}"
        self.log.append(
            {
                "id": f"event-{len(self.log) + 1}", "source": "millrace", "type": f"millrace.{kind}.v1",
                "subject": subject, "time": datetime.now(UTC).isoformat(), "data": data, "eventtype": kind,
                "tenant": "default", "position": position, "version": 1, "correlationid": correlation,
            }
        )  # fmt: skip
        return position

    async def _job_enqueue(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        job_id, now = derived_id("default", item_id), datetime.now(UTC).isoformat()
        job = command.model_dump(mode="json", include={"name", "data", "queue", "priority", "max_attempts", "timeout"})
        self.jobs[job_id] = {
            **job, "id": job_id, "status": "pending", "attempts": 0, "attempt": 0, "created_at": now,
            "correlation_id": correlation or item_id, "reports": [],
        }  # fmt: skip
        self.ready.append(job_id)
        self._record("job.enqueued", job_id, job, correlation)
        return {"job_id": job_id, "status": "pending", "created_at": now}

    async def _job_claim(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        started = time.monotonic()
        try:
            async with asyncio.timeout(command.wait), self.changed:
                await self.changed.wait_for(
                    lambda: any(self.jobs[each]["queue"] in command.queues for each in self.ready)
                )
        except TimeoutError:
            return {"grants": [], "held": command.wait, "lease": self.unconfirmed}
        taken = [each for each in self.ready if self.jobs[each]["queue"] in command.queues][: command.slots]
        grants = []
        for job_id in taken:
            self.ready.remove(job_id)
            job = self.jobs[job_id]
            job["status"], job["attempt"], job["attempts"] = "processing", job["attempt"] + 1, job["attempts"] + 1
            grants.append(
                {"job_id": job_id, **{key: value for key, value in job.items() if key not in ("id", "reports")}}
            )
        return {"grants": grants, "held": time.monotonic() - started, "lease": self.unconfirmed}

    async def _job_withdraw(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        return {"worker": command.worker}

    async def _job_renew(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        if self.refuse_renewals:
            raise Refusal(503, "unavailable", "no renewals")
        self.renewals.append([each.job_id for each in command.attempts])
        lost = [each.model_dump() for each in command.attempts if (each.job_id, each.attempt) in self.lost]
        return {"lease": self.lease, "lost": lost}

    async def _job_report(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        job = self.jobs[command.job_id]
        if job["attempt"] != command.attempt or job["status"] != "processing":
            raise Refusal(409, "stale-attempt", "not valid any more")
        job["reports"].append(command.model_dump(mode="json"))
        final = command.outcome != "failed" or not command.retryable or job["attempts"] >= job["max_attempts"]
        job["status"] = {"completed": "completed", "failed": "failed", "returned": "pending"}[command.outcome]
        job["result"], job["error"] = command.result, command.error.message if command.error else None
        if command.outcome == "returned":
            job["attempts"] -= 1
            if not command.delay:
                self.ready.append(command.job_id)
        elif not final:
            job["status"] = "pending"
            self.ready.append(command.job_id)
        kind = ENDINGS[command.outcome] if final else "job.attempt_failed"
        self._record(kind, command.job_id, {"attempt": command.attempt, "result": command.result})
        return {"job_id": command.job_id, "status": job["status"]}

    async def _job_checkpoint(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        job = self.jobs[command.job_id]
        if job["attempt"] != command.attempt or job["status"] != "processing":
            raise Refusal(409, "stale-attempt", "not valid any more")
        job["checkpoint"] = command.state
        return {"job_id": command.job_id, "status": job["status"]}

    async def _job_log(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        for each in command.attempts:
            self.lines += [(each.job_id, each.attempt, line.n, line.message) for line in each.lines]
        return {"kept": sum(len(each.lines) for each in command.attempts)}

    async def _job_upload(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        raise Refusal(409, "no-storage", "no storage is configured")

    async def _job_cancel(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        job = self._known(command.job_id)
        if job["status"] in ("completed", "failed"):
            raise Refusal(409, "refused", "the job has already ended")
        self.lost.add((command.job_id, job["attempt"]))
        job["status"] = "cancelled"
        self._record("job.cancelled", command.job_id, {})
        return {"job_id": command.job_id, "status": "cancelled", "success": True}

    async def _event_publish(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        self._record(command.event_type, item_id, command.payload, correlation)
        return {"event_id": self.log[-1]["id"]}

    async def _subscription_create(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        place = {"head": f"e-{len(self.log)}", "beginning": "e-0"}.get(command.start, command.start)
        created = {**command.model_dump(exclude={"start"}), "position": place, "is_active": True, "parked": []}
        subscription = self.subscriptions.setdefault(command.name, created)
        return {key: subscription[key] for key in ("name", "is_active", "position")}

    async def _subscription_lease(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        if command.name not in self.subscriptions:
            raise Refusal(404, "not-found", f"no subscription {command.name}")
        return {"held": command.seconds > 0, "lease": command.seconds}

    async def _subscription_acknowledge(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        self.subscriptions[command.name]["position"] = command.position
        self._record("subscription.advanced", command.name, {})
        return {}

    async def _subscription_park(self, command: Any, item_id: str, correlation: str | None) -> dict[str, Any]:
        self.subscriptions[command.name]["parked"].append({"event_id": command.event_id, "error": command.error})
        return {}

    def _known(self, job_id: str) -> dict[str, Any]:
        if job_id not in self.jobs:
            raise Refusal(404, "not-found", f"no job {job_id}")
        return self.jobs[job_id]

    async def _queries(self, request: Request) -> Response:
        name, body = request.path_params["name"], await request.json()
        try:
            match name:
                case "job.get":
                    result: dict[str, Any] = {"job": self._known(body["job_id"])}
                case "job.list":
                    start, limit = int(body.get("cursor") or 0), body["limit"]
                    rows = [job for job in reversed(self.jobs.values()) if body.get("status") in (None, job["status"])]
                    more = str(start + limit) if start + limit < len(rows) else None
                    result = {"jobs": rows[start : start + limit], "cursor": more}
                case "job.stats":
                    result = dict(Counter(job["status"] for job in self.jobs.values()))
                case "subscription.get":
                    result = {"subscription": self.subscriptions[body["name"]]}
                case "log.read":
                    result = await self._read(body)
                case _:
                    raise Refusal(404, "unknown-query", name)
        except Refusal as refusal:
            return answer(refusal)
        return Response(to_json({"ok": True, "result": result, "position": None}), media_type="application/json")

    async def _read(self, body: dict[str, Any]) -> dict[str, Any]:
        after = {"head": len(self.log), "beginning": 0}.get(body["after"])
        after = int(body["after"].removeprefix("e-")) if after is None else after
        if after > len(self.log):
            raise Refusal(409, "reset", "this position belongs to another log")
        try:
            async with asyncio.timeout(body["wait"]), self.changed:
                await self.changed.wait_for(
                    lambda: any(matches(body["pattern"], e["eventtype"]) for e in self.log[after:])
                )
        except TimeoutError:
            pass
        found = [event for event in self.log[after:] if matches(body["pattern"], event["eventtype"])][: body["limit"]]
        position = found[-1]["position"] if found else f"e-{len(self.log)}"
        return {"events": found, "position": position, "caught_up": True}


def answer(refusal: Refusal) -> Response:
    reply = {"ok": False, "error": refusal.problem}
    return Response(to_json(reply), refusal.problem["status"], media_type="application/json")


@asynccontextmanager
async def serving(service: WireService) -> AsyncIterator[str]:
    """Serves on a free port of the loopback interface and yields the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(service.application(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        # Claims and readers that are held would keep it; it is not what is tested.
        server.should_exit = server.force_exit = True
        await task
        listener.close()
