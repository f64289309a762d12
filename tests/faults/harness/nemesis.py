"""Carries a schedule of faults out on a stack, one after another, and notes how long each recovery takes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from tests.faults.harness import family
from tests.faults.harness.crashes import Lanes, crashed, reaches
from tests.faults.harness.processes import Server, Service, Worker
from tests.faults.harness.proxy import Blackhole, CutAfter, FaultProxy, Latency, Pass, Refuse, Reset, Slow
from tests.faults.harness.proxy import Fault as Network
from tests.faults.harness.schedule import Fault
from tests.faults.harness.stack import Stack
from tests.faults.harness.waiting import until

END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL
"""
WORKER_SECONDS = 60.0
# RabbitMQ stops its publishers with fifty megabytes left; without any, its log of quorum queues ends for good.
ROOM = {"postgres": 0, "rabbitmq": 30_000_000}
CUT_BYTES = 200_000
SLOW_BYTES = 40_000


class UnknownFault(Exception):
    """Raised before a run where a schedule names a fault that nobody can inject; `kind` is its name."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"there is no fault {kind!r}; see tests/faults/harness/schedule.py for those that exist")
        self.kind = kind


class Nemesis:
    """Runs once.

    Attributes:
        recoveries: (fault, seconds from its end until the system worked again).
        missed: faults that could not be injected in time, because what they hit never came back.

    Args:
        recovered: sends a command through the door of what was hit and returns when it is answered.
        done: told after each fault.
    """

    def __init__(
        self, stack: Stack, recovered: Callable[[str], Awaitable[None]], done: Callable[[Fault], None]
    ) -> None:
        self._stack, self._recovered, self._done = stack, recovered, done
        self.last_healed = time.monotonic()
        self.recoveries: list[tuple[str, float]] = []
        self.missed: list[str] = []
        self._lanes = Lanes()

    async def run(self, faults: list[Fault]) -> None:
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(fault.pause)
                if fault.target == "worker":
                    # There are many.
                    group.create_task(self._carry_out(fault))
                elif fault.target == "crash":
                    # A service can only be stopped where its traffic brings it to; others need not wait for that.
                    group.create_task(self._carry_out_in_its_lane(fault))
                else:
                    await self._carry_out(fault)

    async def _carry_out_in_its_lane(self, fault: Fault) -> None:
        async with self._lanes.of(self._at_point(fault)):
            await self._carry_out(fault)

    async def _carry_out(self, fault: Fault) -> None:
        history = self._stack.history
        at, began = time.time(), time.monotonic()
        history.fault(fault.kind, seconds=round(fault.seconds, 2))
        try:
            door = await self._inject(fault)
        except (TimeoutError, ChildProcessError) as error:
            self.missed.append(f"{fault.kind}: {error}")
            return
        self.last_healed = healed = time.monotonic()
        if door is not None:
            await self._recovered(door)
            self.recoveries.append((fault.kind, time.monotonic() - healed))
        history.injected({"kind": fault.kind, "at": at, "seconds": round(time.monotonic() - began, 3)})
        self._done(fault)

    async def _inject(self, fault: Fault) -> str | None:
        """Injects and heals; returns the door through which the recovery shows, None where nobody waits for one."""
        stack = self._stack
        match fault.kind.split("."):
            case ["worker", what]:
                victim = await self._worker(fault.pick)
                if what == "kill":
                    victim.send(signal.SIGKILL)
                else:
                    async with self._down(victim):
                        await self._frozen(victim, fault.seconds * stack.plan.lease)
                return None
            case ["service", what]:
                service = stack.services[fault.pick % len(stack.services)]
                if what == "freeze":
                    await self._frozen(service, fault.seconds)
                else:
                    await self._killed(service, fault.seconds)
                return f"http-{stack.apis.index(service) + 1}" if service in stack.apis else None
            case [target, "net", mode]:
                proxy = stack.rabbitmq_proxy if target == "broker" else stack.postgres_proxy
                assert proxy is not None
                await _network(proxy, mode, fault)
                return _door(target)
            case ["broker", what]:
                await self._broker(what, fault)
                return "amqp"
            case ["postgres", what]:
                await self._postgres(what, fault)
                return "http-1"
            case ["clock", "step"]:
                clock = stack.clocks[fault.pick % len(stack.clocks)]
                # up to an hour, either way
                clock.step((fault.size - 0.5) * 7_200)
                await asyncio.sleep(fault.seconds)
                return "http-1"
            case ["crash", *words]:
                await self._crash(".".join(words), fault)
                return None
            case _:
                raise UnknownFault(fault.kind)

    def _at_point(self, fault: Fault) -> Service:
        """The service that the fault stops at its point."""
        point = fault.kind.partition(".")[2]
        able = [service for service in self._stack.services if reaches(service, point)]
        return able[fault.pick % len(able)]

    async def _crash(self, point: str, fault: Fault) -> None:
        service = self._at_point(fault)
        # Alive and on its way: what it has not begun yet cannot be interrupted.
        await until(lambda: service.running, WORKER_SECONDS, f"{service.name} runs")
        await crashed(self._stack.taps[service], point, fault.size, service.kill)

    async def _worker(self, pick: int) -> Worker:
        """A worker that nothing is wrong with; waits for one where all have been hit."""
        able: list[Worker] = []

        def found() -> bool:
            able[:] = [each for each in self._stack.workers if each.running and each not in self._stack.down]
            return bool(able)

        await until(found, WORKER_SECONDS, "a worker runs")
        return able[pick % len(able)]

    @asynccontextmanager
    async def _down(self, server: Server) -> AsyncIterator[None]:
        """Keeps the keeper from starting a server before its fault is over."""
        self._stack.down.add(server)
        try:
            yield
        finally:
            self._stack.down.discard(server)

    async def _killed(self, server: Server, seconds: float) -> None:
        async with self._down(server):
            await server.kill()
            await asyncio.sleep(seconds)
            await server.start()

    async def _frozen(self, server: Server, seconds: float) -> None:
        frozen = family.frozen(server.pid)
        try:
            await asyncio.sleep(seconds)
        finally:
            family.thaw(frozen)

    async def _broker(self, what: str, fault: Fault) -> None:
        broker, proxy = self._stack.rabbitmq, self._stack.rabbitmq_proxy
        assert broker is not None
        assert proxy is not None
        match what:
            case "close":
                proxy.reset_all()
            case "freeze":
                await self._frozen(broker, fault.seconds)
            case "kill":
                await self._killed(broker, fault.seconds)
            case "wipe":
                async with self._down(broker):
                    await broker.wipe()
                    await asyncio.sleep(fault.seconds)
                    await broker.start()
            case _:
                await self._volume("rabbitmq", broker, what, fault)

    async def _postgres(self, what: str, fault: Fault) -> None:
        postgres = self._stack.postgres
        match what:
            case "freeze":
                await self._frozen(postgres, fault.seconds)
            case "terminate":
                connection = await asyncpg.connect(postgres.url, timeout=5)
                await connection.execute(END_SESSIONS)
                await connection.close()
            case "backend":
                if pids := postgres.backend_pids():
                    await postgres.kill_backend(pids[fault.pick % len(pids)])
            case "kill":
                await self._killed(postgres, fault.seconds)
            case "immediate":
                async with self._down(postgres):
                    await postgres.stop(signal.SIGQUIT)
                    await asyncio.sleep(fault.seconds)
                    await postgres.start()
            case _:
                await self._volume("postgres", postgres, what, fault)

    async def _volume(self, name: str, server: Server, what: str, fault: Fault) -> None:
        volume = self._stack.volumes[name]
        match what:
            case "power":
                async with self._down(server):
                    await volume.cut_power(server)
                    await asyncio.sleep(fault.seconds)
                    await server.start()
            case "full":
                volume.fill(ROOM[name])
                try:
                    await asyncio.sleep(fault.seconds)
                finally:
                    volume.free()
            case _:
                raise UnknownFault(fault.kind)


def _door(target: str) -> str:
    return "amqp" if target == "broker" else "http-1"


async def _network(proxy: FaultProxy, mode: str, fault: Fault) -> None:
    await proxy.set(_mode(mode, fault))
    await asyncio.sleep(fault.seconds)
    await proxy.set(Pass())


def _mode(mode: str, fault: Fault) -> Network:
    match mode:
        case "refuse":
            return Refuse()
        case "reset":
            return Reset()
        case "blackhole":
            return Blackhole()
        case "deaf":
            return Blackhole("s2c")
        case "mute":
            return Blackhole("c2s")
        case "latency":
            return Latency(0.05 + fault.size / 2)
        case "slow":
            return Slow(SLOW_BYTES)
        case "cut":
            return CutAfter(round(fault.size * CUT_BYTES))
        case _:
            raise UnknownFault(fault.kind)
