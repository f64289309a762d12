"""The standing workload: a seeded stream of orders, given by clients as clients should, over every door there is."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millrace import Millrace
from millrace.errors import MillraceError, NotFound, OutcomeUnknown, Refused
from tests.faults.harness.history import History

TENANTS = ("north", "south", "west")
POISON = frozenset({"always-fails", "kills-its-worker"})
# Kills use up attempts; a job in which nothing fails must survive as many as a run can bring upon it.
OFTEN: dict[str, Any] = {"max_attempts": 100, "retry": {"kind": "fixed", "delay": 0.1}}
SELDOM: dict[str, Any] = {"max_attempts": 2, "retry": {"kind": "fixed", "delay": 0.1}}
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Mix:
    """How the orders are composed; shares of 1."""

    duplicates: float = 0.05
    cancels: float = 0.05
    poison: float = 0.01
    deadly: float = 0.0
    delayed: float = 0.05
    reads: float = 0.10
    removes: float = 0.01
    longest: float = 0.05


@dataclass(frozen=True, slots=True)
class Order:
    """One job that a client wants, and what it does about it afterwards.

    Attributes:
        doors: where the command is sent, at the same time; more than one are copies with the same id.
        then: what follows once it is accepted.
    """

    command: str
    tenant: str
    body: Mapping[str, Any]
    doors: tuple[str, ...]
    then: str | None = None


def orders(seed: int, doors: Sequence[str], mix: Mix) -> Iterator[Order]:
    """The orders of a seed, without end, the same for the same arguments."""
    chance = random.Random(f"orders {seed}")
    number = 0
    while True:
        number += 1
        door = chance.choice(doors)
        copies: tuple[str, ...] = (door,)
        if chance.random() < mix.duplicates:
            copies = (door, chance.choice(doors))
        body = _body(chance, mix)
        draw, then = chance.random(), None
        for name, share in (("cancel", mix.cancels), ("read", mix.reads), ("remove", mix.removes)):
            if draw < share:
                then = name
                break
            draw -= share
        if body["name"] == "always-fails":
            then = "retry" if chance.random() < 0.3 else None
        yield Order(f"{seed}-{number}", chance.choice(TENANTS), body, copies, then)


def _body(chance: random.Random, mix: Mix) -> dict[str, Any]:
    draw = chance.random()
    if draw < mix.deadly:
        return {"name": "kills-its-worker", "data": {}, **SELDOM}
    if draw < mix.poison:
        return {"name": "always-fails", "data": {}, **SELDOM}
    kind = chance.choices(("step", "blocking-step", "fails-once"), (85, 10, 5))[0]
    body: dict[str, Any] = {"name": kind, "data": {}, **OFTEN}
    if kind != "fails-once":
        body["data"] = {"seconds": round(chance.uniform(0, mix.longest), 3)}
    if chance.random() < 0.2:
        body["priority"] = chance.randint(-10, 10)
    if chance.random() < mix.delayed:
        body["delay"] = round(chance.uniform(0.1, 3.0), 2)
    return body


@dataclass
class Workload:
    """Gives orders until it is told to stop, and repeats each command until it is answered.

    Args:
        clients: by door and tenant.
        ended: how many jobs have ended so far; the workload keeps at most `ahead` more than that under way, so that
            every fault hits both what is being sent and what waits.
        pace: orders a second at most; None for as many as are taken.
    """

    clients: Mapping[tuple[str, str], Millrace]
    history: History
    orders: Iterator[Order]
    ended: Callable[[], int]
    ahead: int = 600
    senders: int = 60
    pace: float | None = None
    sent: int = 0
    bodies: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    async def run(self, enough: Callable[[], bool]) -> None:
        """Returns when `enough` holds and every command that was sent has its answer."""
        slots, due = asyncio.Semaphore(self.senders), 0.0
        async with asyncio.TaskGroup() as group:
            while not enough():
                if self.sent - self.ended() >= self.ahead:
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                await slots.acquire()
                if self.pace is not None:
                    # What was missed while nothing was taken is not made up for.
                    due = max(due, time.monotonic()) + 1 / self.pace
                    await asyncio.sleep(due - time.monotonic())
                order = next(self.orders)
                self.sent += 1
                group.create_task(self._carry_out(order)).add_done_callback(lambda _: slots.release())

    async def canary(self, door: str, tenant: str, number: int) -> None:
        """One job more, to see when a door is open again; returns when it is accepted."""
        self.sent += 1
        body = {"name": "step", "data": {"seconds": 0.0}, **OFTEN}
        await self._insist(door, tenant, "job.enqueue", body, f"canary-{number}")

    async def _carry_out(self, order: Order) -> None:
        answers = await asyncio.gather(
            *(self._insist(door, order.tenant, "job.enqueue", order.body, order.command) for door in order.doors)
        )
        job_id, position = answers[0]
        if order.then is None or not job_id:
            return
        door = order.doors[-1]
        if order.then == "read":
            await self._read(door, order.tenant, job_id, position)
            return
        if order.then == "retry":
            await self._until_buried(door, order.tenant, job_id)
        await self._insist(
            door, order.tenant, f"job.{order.then}", {"job_id": job_id}, f"{order.command}-{order.then}", job_id
        )

    async def _insist(
        self, door: str, tenant: str, name: str, body: Mapping[str, Any], command: str, about: str = ""
    ) -> tuple[str, str | None]:
        """The job's id and the position that came with the answer; an empty id where it is a refusal."""
        client = self.clients[door, tenant]
        while True:
            self.history.sent(command, door=door, tenant=tenant, name=name)
            try:
                answer = await client.execute(name, body, message_id=command)
            except Refused as refusal:
                self.history.refused(command, about, name, refusal.code)
                return "", None
            except MillraceError as error:
                self.history.failed(command, error, doubtful=isinstance(error, OutcomeUnknown))
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                job_id = str(answer.result["job_id"])
                self.history.answered(command, job_id, name=name, tenant=tenant, position=answer.position)
                return job_id, answer.position

    async def _read(self, door: str, tenant: str, job_id: str, position: str | None) -> None:
        """Reads the job as it must be at least since its own answer; a model that is too far behind is asked again."""
        client = self.clients[door, tenant]
        while position is not None:
            try:
                job = (await client.query("job.get", {"job_id": job_id}, min_position=position))["job"]
            except NotFound:
                job = {"status": None, "attempts": 0}
            except MillraceError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self.history.read(
                {"tenant": tenant, "job_id": job_id, "min_position": position, "status": job["status"],
                 "attempts": job["attempts"]}
            )  # fmt: skip
            return

    async def _until_buried(self, door: str, tenant: str, job_id: str) -> None:
        client = self.clients[door, tenant]
        while True:
            try:
                job = await client.jobs.get(job_id)
            except MillraceError:
                job = None
            if job is not None and job.dead_lettered:
                return
            await asyncio.sleep(PAUSE_SECONDS * 4)
