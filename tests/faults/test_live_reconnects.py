"""Clients of the live feed that are cut again and again, on two services of which one is killed: nothing is missed.

`make live` runs it with 200 clients and 20 cuts of each; the numbers here are for every day.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.test_two_services import started

CLIENTS = int(os.environ.get("LIVE_CLIENTS", "24"))
CUTS = int(os.environ.get("LIVE_CUTS", "6"))
EVENTS = CUTS * 12
DEADLINE = 30.0 + CLIENTS * CUTS / 20
SEED = int(os.environ.get("FAULTS_SEED", "7"))


@dataclass
class Follower:
    """A client that is cut after some of its messages, and comes back at any service with its last position.

    Attributes:
        cuts: after how many events it is cut, in order.
        seen: the positions of all events that it was sent.
    """

    urls: list[str]
    dice: random.Random
    cuts: list[int]
    position: str = "beginning"
    seen: list[str] = field(default_factory=list)
    connections: int = 0

    async def follow(self, last: int) -> None:
        """Until it has seen an event with the number `last`."""
        while True:
            url = self.dice.choice(self.urls).replace("http", "ws", 1)
            try:
                async with connect(f"{url}/ws/follower", proxy=None, open_timeout=5, close_timeout=1) as connection:
                    self.connections += 1
                    await connection.send(
                        json.dumps({"action": "subscribe", "pattern": "shop.#", "after": self.position})
                    )
                    while True:
                        message = json.loads(await connection.recv())
                        if "position" in message:
                            self.position = message["position"]
                        if message["event"] != "shop.sold":
                            continue
                        self.seen.append(message["position"])
                        if message["data"]["data"]["n"] == last:
                            return
                        if self.cuts and len(self.seen) >= self.cuts[0]:
                            self.cuts.pop(0)
                            connection.transport.abort()
                            break
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError):
                await asyncio.sleep(self.dice.random() / 10)


def verdict(recorded: list[str], seen: list[str]) -> dict[str, int]:
    """How many recorded events are missing, came twice, or came before one of an earlier position."""
    numbers = [int(position.rpartition("-")[2]) for position in seen]
    return {
        "gaps": len(set(recorded) - set(seen)),
        "duplicates": sum(Counter(seen).values()) - len(set(seen)),
        "reorders": sum(one > next_ for one, next_ in pairwise(numbers)),
    }


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (["e-1", "e-2", "e-9"], {"gaps": 0, "duplicates": 0, "reorders": 0}),
        (["e-1", "e-9"], {"gaps": 1, "duplicates": 0, "reorders": 0}),
        (["e-1", "e-2", "e-2", "e-9"], {"gaps": 0, "duplicates": 1, "reorders": 0}),
        (["e-2", "e-1", "e-9"], {"gaps": 0, "duplicates": 0, "reorders": 1}),
    ],
)
def test_the_verdict_sees_what_goes_wrong(seen: list[str], expected: dict[str, int]) -> None:
    assert verdict(["e-1", "e-2", "e-9"], seen) == expected


@pytest.mark.timeout(DEADLINE + 120)
async def test_nothing_is_missed_repeated_or_reordered(run: Bench, fresh_database_url: str) -> None:
    first, second = await started(run, fresh_database_url)
    dice = random.Random(SEED)
    followers = [
        Follower([first.url, second.url], random.Random(dice.random()), sorted(dice.sample(range(1, EVENTS), CUTS)))
        for _ in range(CLIENTS)
    ]
    following = [asyncio.create_task(each.follow(EVENTS - 1)) for each in followers]
    async with httpx.AsyncClient(base_url=second.url, trust_env=False, timeout=20) as client:
        for n in range(EVENTS):
            body = {"event_type": "shop.sold", "payload": {"n": n}}
            (await client.post("/api/events", json=body)).raise_for_status()
            if n == EVENTS // 2:
                first.send(signal.SIGKILL)
                run.history.fault("SIGKILL", server=first.name)
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*following)
    async with Millrace(second.url) as client:
        recorded = [event["position"] for event in await run.log(client) if event["eventtype"] == "shop.sold"]
    assert len(recorded) == EVENTS
    findings = Counter[str]()
    for follower in followers:
        findings.update(verdict(recorded, follower.seen))
        assert not follower.cuts
    connections = sum(follower.connections for follower in followers)
    said = f"{CLIENTS} clients, {CLIENTS * CUTS} cuts, {connections} connections, {CLIENTS * EVENTS} deliveries"
    print(f"{said}: {dict(findings)}")
    assert findings == {"gaps": 0, "duplicates": 0, "reorders": 0}
