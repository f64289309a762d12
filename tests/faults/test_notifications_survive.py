"""The process that sends is killed again and again: everything goes out, under one id each, and is recorded once."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from functools import partial
from pathlib import Path

from domain.notification import Notification
from domain.ports import StreamName
from handlers.notification import NotificationPolicy
from infra.bootstrap import System, build
from infra.settings import Settings
from millrace.contracts.wire import Accepted, Batch, Context
from tests.faults.deliverer import FileChannel
from tests.faults.harness.waiting import until
from tests.faults.seeds import chosen

ROOT = Path(__file__).parents[2]
NOTIFICATIONS = 400
KILLS = 6
DIGESTED = 40


async def started(database_url: str, outbox: Path) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.deliverer", database_url, str(outbox),
        cwd=ROOT, stdout=DEVNULL, stderr=DEVNULL,
    )  # fmt: skip


def lines(outbox: Path) -> list[tuple[str, str]]:
    text = outbox.read_text() if outbox.exists() else ""
    return [(line.split()[0], line.split()[1]) for line in text.splitlines()]


async def sent(system: System, ids: list[str]) -> dict[str, Notification]:
    """The notifications as their streams say."""
    loaded = await system.storage.store.load([StreamName("notification", "default", id) for id in ids])
    found = {stream.id: Notification.replayed(each.events) for stream, each in loaded.items()}
    return {id: notification for id, notification in found.items() if notification is not None}


async def test_nothing_is_lost_and_what_goes_out_again_has_the_same_id(fresh_database_url: str, tmp_path: Path) -> None:
    outbox, dice = tmp_path / "outbox", random.Random(chosen())
    system = await build(Settings(), fresh_database_url, roles=("api",), channels=[FileChannel(str(outbox))])
    system.start()
    process = await started(fresh_database_url, outbox)
    try:
        plain = [
            {"user_id": f"u{n}", "title": f"n{n}", "channels": ["email"], "recipient": "x"}
            for n in range(NOTIFICATIONS)
        ]
        digest = {"digest": {"key": "k", "window": 0.5}}
        held = [{**plain[n], "user_id": f"d{n % 8}", **digest} for n in range(DIGESTED)]
        reply = await system.gateway.execute("notification.send", [*plain, *held], Context("default", "all"))
        assert isinstance(reply, Batch)
        ids = [each.result["notification_id"] for each in reply.items if isinstance(each, Accepted)]
        assert len(ids) == NOTIFICATIONS + DIGESTED
        for kill in range(KILLS):
            wanted = (kill + 1) * NOTIFICATIONS // (KILLS + 2) + dice.randint(0, 20)
            await until(partial(many, outbox, wanted), 60, f"{wanted} went out")
            process.kill()
            await process.wait()
            process = await started(fresh_database_url, outbox)

        async def all_ended() -> bool:
            found = await sent(system, ids)
            return all(not step.pending for each in found.values() for step in each.steps.values())

        await until(all_ended, 90, "every notification has ended")
        digests = await system.storage.pool.fetch(
            "SELECT subject FROM stored_events WHERE event_type = 'notification.created'"
        )
        everything = [row["subject"] for row in digests]

        async def digests_too() -> bool:
            found = await sent(system, everything)
            return all(not step.pending for each in found.values() for step in each.steps.values())

        await until(digests_too, 30, "every digest has ended")
        found = await sent(system, everything)
        went_out = Counter(delivery_id for delivery_id, _ in lines(outbox))
        recorded = {
            each.steps["email"].delivery_id: id for id, each in found.items() if each.steps["email"].status == "sent"
        }
        assert went_out.keys() == recorded.keys(), "what went out is what is recorded, and nothing else"
        assert {attempt for _, attempt in lines(outbox)} == {"1"}, "a kill uses no attempt up"
        at_risk = KILLS * NotificationPolicy().at_once
        assert sum(went_out.values()) - len(went_out) <= at_risk, "only what was under way goes out again"
        assert all(found[id].steps["email"].status == "sent" for id in ids[:NOTIFICATIONS])
        summed_up = Counter(member for each in found.values() for member in each.digest_of)
        digested = [id for id in ids if found[id].steps["email"].reason == "digested"]
        assert summed_up == dict.fromkeys(digested, 1), "each digested one is in one digest"
    finally:
        process.kill()
        await process.wait()
        await system.stop()


async def many(outbox: Path, wanted: int) -> bool:
    return len(lines(outbox)) >= wanted
