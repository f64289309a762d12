"""Receivers that hang keep no others waiting, and a service that stops lets end what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from domain.channels import Delivery, Outcome, Sent
from infra.bootstrap import System, build
from infra.settings import Settings
from tests.support.channels import Recorder
from tests.support.running import running, until
from tests.support.systems import context, executed

HUNG_HOSTS = 20
OF_ONE_HOST = 60
HEALTHY = 40
SECONDS = 60.0
TURNS = 20
MODULES = {"notifications": {"delivery": {"timeout": 300, "concurrency": 8}}}


class Webhooks:
    """Takes what goes to healthy hosts; calls to others hang until `released`.

    Attributes:
        begun: set with the first call.
        hung: how many calls hang now, by address.
    """

    name = "webhook"

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.hung: dict[str, int] = {}
        self.begun, self.released = asyncio.Event(), asyncio.Event()

    async def send(self, delivery: Delivery) -> Outcome:
        self.begun.set()
        if "hung" in delivery.address:
            self.hung[delivery.address] = self.hung.get(delivery.address, 0) + 1
            try:
                await self.released.wait()
            finally:
                self.hung[delivery.address] -= 1
        self.taken.append(delivery.address)
        return Sent("test")


async def send(system: System, addresses: Sequence[str]) -> None:
    for number, address in enumerate(addresses):
        body: dict[str, Any] = {"user_id": f"u{number}", "title": "t", "channels": ["webhook"], "recipient": address}
        await executed(system, "notification.send", body, context(tenant="default"))


async def test_hosts_that_hang_keep_no_others_waiting(fresh_database_url: str) -> None:
    webhooks = Webhooks()
    async with running(fresh_database_url, http=False, channels=[webhooks], modules=MODULES) as service:
        await send(service.system, [f"https://hung-{n}.example/" for n in range(HUNG_HOSTS)])
        await send(service.system, ["https://hung.example/"] * OF_ONE_HOST)
        healthy = [f"https://healthy-{n % 3}.example/" for n in range(HEALTHY)]
        await send(service.system, healthy)
        await until(lambda: sorted(webhooks.taken) == sorted(healthy), SECONDS)
        assert webhooks.hung["https://hung.example/"] <= 8 + 4, "one host has what began at once, and few more"
        assert sum(webhooks.hung.values()) <= 4 * 8, "what hangs is bounded"
        webhooks.released.set()
        await until(lambda: len(webhooks.taken) == HEALTHY + HUNG_HOSTS + OF_ONE_HOST, SECONDS)


async def test_a_service_that_stops_records_what_is_under_way(fresh_database_url: str) -> None:
    webhooks = Webhooks()
    system = await build(Settings(), fresh_database_url, channels=[webhooks])
    system.start()
    await send(system, ["https://hung.example/"])
    await asyncio.wait_for(webhooks.begun.wait(), SECONDS)
    stopping = asyncio.create_task(system.stop())
    # What is to be cut off at once would be so by now; the answer comes while the service is stopping.
    for _ in range(TURNS):
        await asyncio.sleep(0)
    webhooks.released.set()
    await stopping
    again = Recorder("webhook")
    async with running(fresh_database_url, http=False, channels=[again]) as service:
        pool = service.system.storage.pool

        async def shown() -> bool:
            return bool(await pool.fetchval("SELECT status FROM notification_deliveries") == "sent")

        await until(shown, SECONDS)
        assert again.taken == []


async def test_a_service_that_stops_does_not_wait_for_what_hangs(fresh_database_url: str) -> None:
    webhooks = Webhooks()
    async with running(fresh_database_url, http=False, channels=[webhooks]) as service:
        await send(service.system, ["https://hung.example/"])
        await asyncio.wait_for(webhooks.begun.wait(), SECONDS)
    assert not any(webhooks.hung.values()), "it was cut off"
    again = Recorder("webhook")
    async with running(fresh_database_url, http=False, channels=[again]):
        await asyncio.wait_for(again.news.wait(), SECONDS)
    assert [delivery.attempt for delivery in again.taken] == [1], "a stop uses no attempt up"
