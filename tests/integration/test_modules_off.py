"""A module that is switched off has no routes, takes no commands, and does nothing as time passes."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from millrace.contracts.wire import Refused, Reply
from tests.support.channels import Recorder
from tests.support.live import live
from tests.support.running import Running, running, until
from tests.support.systems import context

COMMANDS = {
    "progress": {"progress.create": {}, "progress.update": {"progress_id": "p", "progress": 1}},
    "notifications": {
        "notification.send": {"user_id": "kim", "title": "t"},
        "notification.set_preferences": {"user_id": "kim"},
        "template.save": {"name": "n", "title": "t"},
    },
}
QUERIES = {
    "progress": {"progress.list": {}},
    "notifications": {"notification.list": {"user_id": "kim"}, "template.list": {}},
}
LOOPS = {"progress": {"progress", "samples"}, "notifications": {"deliverer", "notification retention"}}
FEEDS = {"progress": "/ws/progress", "notifications": "/ws/notifications?user_id=kim"}


def loops() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()}


async def status_of_feed(service: Running, path: str) -> int:
    try:
        async with live(service.url, path):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


async def codes(service: Running, module: str) -> set[str | None]:
    """What the commands and queries of a module are refused as, where they are not known; None where they are."""
    gateway, found = service.system.gateway, set[str | None]()
    for name, body in COMMANDS[module].items():
        found.add(_unknown(await gateway.execute(name, body, context(tenant="default"))))
    for name, body in QUERIES[module].items():
        found.add(_unknown(await gateway.query(name, body, context(tenant="default"), None)))
    return found


def _unknown(reply: Reply) -> str | None:
    return reply.problem.code if isinstance(reply, Refused) and reply.problem.code.startswith("unknown-") else None


async def paths(service: Running, module: str) -> set[str]:
    """The REST paths of a module that there are, by the document and by asking."""
    async with service.client() as client:
        document = (await client.get("/openapi.json")).json()["paths"]
        answer = await client.get(f"/api/{module}", params={"user_id": "kim"})
    own = {path for path in document if path.startswith(f"/api/{module}")}
    return own | ({f"/api/{module}"} if answer.status_code != 404 else set())


@pytest.mark.parametrize(("off", "on"), [("progress", "notifications"), ("notifications", "progress")])
async def test_a_module_that_is_off_leaves_nothing_and_the_other_is_whole(
    off: str, on: str, fresh_database_url: str
) -> None:
    async with running(fresh_database_url, modules={off: {"enabled": False}}) as service:
        assert await codes(service, off) == {"unknown-command", "unknown-query"}
        assert await codes(service, on) == {None}
        assert await paths(service, off) == set()
        assert await paths(service, on) != set()
        assert not LOOPS[off] & loops()
        assert LOOPS[on] <= loops()
        assert await status_of_feed(service, FEEDS[off]) == 404
        assert await status_of_feed(service, FEEDS[on]) == 101


@pytest.mark.parametrize(("module", "switch"), [("progress", "realtime"), ("notifications", "websocket")])
async def test_a_feed_of_its_own_can_be_switched_off_alone(module: str, switch: str, fresh_database_url: str) -> None:
    async with running(fresh_database_url, modules={module: {switch: {"enabled": False}}}) as service:
        assert await status_of_feed(service, FEEDS[module]) == 404
        assert await status_of_feed(service, "/ws/somebody") == 101
        assert await codes(service, module) == {None}


async def test_what_waited_when_a_module_was_switched_off_goes_out_when_it_is_on_again(fresh_database_url: str) -> None:
    email = Recorder("email")
    body = {"user_id": "kim", "title": "t", "channels": ["email"], "recipient": "kim@example.org"}
    digest = {"digest": {"key": "k", "window": 1}}
    async with running(fresh_database_url, channels=[email]) as service, service.client() as client:
        assert (await client.post("/api/notifications", json={**body, **digest})).status_code < 300
    off = {"notifications": {"enabled": False}}
    async with running(fresh_database_url, channels=[email], modules=off) as service:
        pool = service.system.storage.pool

        async def due() -> bool:
            found = await pool.fetchval(
                "SELECT count(*) FROM notification_deliveries WHERE due_at <= statement_timestamp()"
            )
            return bool(found == 1)

        await until(due)
        assert email.taken == []
    async with running(fresh_database_url, channels=[email]):
        await asyncio.wait_for(email.news.wait(), 20)
