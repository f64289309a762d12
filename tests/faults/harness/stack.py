"""One whole system under test: its own servers, a fault proxy in front of each, services, workers, and a keeper."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from millrace import Millrace
from tests.faults.harness.clock import Clock
from tests.faults.harness.crashes import Taps
from tests.faults.harness.history import History
from tests.faults.harness.postgres import Postgres
from tests.faults.harness.processes import SERVICE, WORKER, Server, Service, Worker
from tests.faults.harness.proxy import FaultProxy
from tests.faults.harness.rabbitmq import RabbitMQ
from tests.faults.harness.starter import Starter
from tests.faults.harness.tap_amqp import AmqpTap
from tests.faults.harness.tap_postgres import PostgresTap
from tests.faults.harness.volume import Volume
from tests.faults.harness.workload import TENANTS

C = TypeVar("C", bound="Closable")
CLIENT_SECONDS = 8.0
KEEP_SECONDS = 0.05
# What the programs import only when they run.
PRELOADED = {SERVICE: ("uvloop",), WORKER: ("uvloop",)}


class Closable(Protocol):
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stack consists of.

    Attributes:
        workers: processes for each tenant.
        lease, unconfirmed: seconds, as the service's settings.
        roles: of each service; None for all.
        program: the service's module; that of a known-bad build for the checkers' own test.
        postgres: lines of its configuration that differ.
        volumes: which servers lie on a volume of their own, whose power can be cut and which can run full.
        clocks: gives every service and worker a wall clock of its own, which can be stepped.
        taps: puts one between each service and each of its servers, so that it can be stopped at an exact message.
        subscriber: a durable subscription has a worker.
    """

    services: int = 1
    workers: int = 1
    concurrency: int = 20
    broker: bool = True
    lease: float = 3.0
    unconfirmed: float = 1.5
    roles: tuple[str | None, ...] = (None,)
    program: str = SERVICE
    extra: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, str | int] = field(default_factory=dict)
    volumes: frozenset[str] = frozenset()
    clocks: bool = False
    taps: bool = False
    subscriber: bool = True


class Stack:
    """Starts everything of a plan in a folder, and keeps it running until it is closed."""

    def __init__(self, folder: Path, plan: Plan, history: History) -> None:
        self.folder, self.plan, self.history = folder, plan, history
        self.runs = folder / "runs"
        self.volumes: dict[str, Volume] = {}
        self.clocks: list[Clock] = []
        self._parts: list[Closable] = []
        self._starters: dict[str, Starter] = {}
        self.taps: dict[Service, Taps] = {}
        self.services: list[Service] = []
        self.workers: list[Worker] = []
        self.subscribers: list[Worker] = []
        self.rabbitmq: RabbitMQ | None = None
        self.rabbitmq_proxy: FaultProxy | None = None
        self.clients: dict[tuple[str, str], Millrace] = {}
        # Processes that the keeper leaves alone, because a fault lasts.
        self.down: set[Server] = set()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def doors(self) -> list[str]:
        return list(dict.fromkeys(door for door, _ in self.clients))

    async def start(self) -> None:
        await asyncio.gather(self._start_postgres(), self._start_rabbitmq(), self._start_starters())

    async def start_services(self) -> None:
        """Starts what stands on the servers; apart, so that somebody can bind a queue first."""
        plan = self.plan
        for number in range(1, plan.services + 1):
            taps = await self._tapped(number)
            name, broker = f"service-{number}", self.broker_url
            service = Service(
                self.folder, name=name, database=taps.postgres.url(self.database_url) if taps else self.database_url,
                broker=taps.amqp.url(broker) if broker and taps and taps.amqp else broker,
                lease=plan.lease, unconfirmed=plan.unconfirmed, program=plan.program,
                roles=plan.roles[(number - 1) % len(plan.roles)], extra={**plan.extra, **self._clock(name)},
                starter=self._starters.get(SERVICE),
            )  # fmt: skip
            if taps:
                self.taps[service] = taps
            self.services.append(service)
            await service.start()
            if number == 1:
                await service.ready()
        for service in self.services:
            await service.ready()
        self._make_clients()
        urls = [service.url for service in self.apis] + ([self.broker_url] if self.broker_url else [])
        for number in range(plan.workers * len(TENANTS)):
            tenant = TENANTS[number % len(TENANTS)]
            # shifted in each row, so that every tenant has workers at every door
            url = urls[(number + number // len(TENANTS)) % len(urls)]
            name = f"worker-{number + 1}"
            self.workers.append(Worker(self.folder, url, self.runs, name=name, tenant=tenant,
                                       concurrency=plan.concurrency, extra=self._clock(name),
                                       starter=self._starters.get(WORKER)))  # fmt: skip
        if plan.subscriber:
            self.subscribers = [
                Worker(self.folder, urls[0], self.runs, name=f"subscriber-{tenant}", tenant=tenant, concurrency=1,
                       queues="nobody", app="tests.faults.subscriber:app", seen=self.seen(tenant),
                       starter=self._starters.get(WORKER))
                for tenant in TENANTS[:1]
            ]  # fmt: skip
        await asyncio.gather(*(worker.start() for worker in [*self.workers, *self.subscribers]))
        self._keeper = asyncio.create_task(self._keep(), name="keeper")

    @property
    def apis(self) -> list[Service]:
        """The services that take requests."""
        return [service for service in self.services if service.roles is None or "api" in service.roles]

    @property
    def database_url(self) -> str:
        """PostgreSQL as the service reaches it."""
        return self.postgres_proxy.url(self.postgres.url)

    @property
    def broker_url(self) -> str | None:
        if self.rabbitmq is None or self.rabbitmq_proxy is None:
            return None
        return self.rabbitmq_proxy.url(self.rabbitmq.url)

    def seen(self, tenant: str) -> Path:
        """Where the durable subscription's worker notes its events."""
        return self.folder / f"seen-{tenant}"

    async def close(self) -> None:
        """Leaves no process, mount or client behind."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for client in self.clients.values():
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await client.close()
        await asyncio.gather(*(part.close() for part in [*self.workers, *self.subscribers, *self.services]))
        for tap in [tap for taps in self.taps.values() for tap in taps.all]:
            await tap.close()
        # The last one first: a proxy stands on its server, which stands on its volume.
        for part in reversed(self._parts):
            await part.close()

    async def _start_starters(self) -> None:
        # A clock of its own is loaded before the interpreter is, which a fork comes too late for.
        if not self.plan.clocks:
            for program, modules in PRELOADED.items():
                starter = self._closed_at_the_end(Starter(self.folder, program, modules))
                self._starters[program] = await starter.start()

    async def _start_postgres(self) -> None:
        volume = await self._volume("postgres")
        data = volume.path / "postgres" if volume else None
        self.postgres = self._closed_at_the_end(Postgres(self.folder, data=data, settings=self.plan.postgres))
        await self.postgres.start()
        self.postgres_proxy = self._closed_at_the_end(FaultProxy(self.postgres.url, "postgres"))
        await self.postgres_proxy.start()

    async def _start_rabbitmq(self) -> None:
        if self.plan.broker:
            volume = await self._volume("rabbitmq")
            data = volume.path / "rabbitmq" if volume else None
            self.rabbitmq = self._closed_at_the_end(RabbitMQ(self.folder, data=data))
            await self.rabbitmq.start()
            if volume is not None:
                # What a node writes when it is installed has reached the disk long before its power fails.
                await asyncio.to_thread(volume.flush)
            self.rabbitmq_proxy = self._closed_at_the_end(FaultProxy(self.rabbitmq.url, "rabbitmq"))
            await self.rabbitmq_proxy.start()

    async def _volume(self, name: str) -> Volume | None:
        if name not in self.plan.volumes:
            return None
        volume = self.volumes[name] = self._closed_at_the_end(Volume(self.folder, name=f"volume-{name}"))
        return await volume.start()

    def _closed_at_the_end(self, part: C) -> C:
        self._parts.append(part)
        return part

    async def _tapped(self, number: int) -> Taps | None:
        if not self.plan.taps:
            return None
        postgres = await PostgresTap(self.database_url, f"tap-{number}").start()
        return Taps(postgres, await AmqpTap(self.broker_url, f"tap-{number}").start() if self.broker_url else None)

    def _clock(self, name: str) -> dict[str, str]:
        if not self.plan.clocks:
            return {}
        self.clocks.append(Clock(self.folder, name))
        return self.clocks[-1].environment

    def _make_clients(self) -> None:
        for tenant in TENANTS:
            for number, service in enumerate(self.apis, 1):
                self.clients[f"http-{number}", tenant] = Millrace(service.url, tenant=tenant, timeout=CLIENT_SECONDS)
            if self.broker_url is not None:
                self.clients["amqp", tenant] = Millrace(self.broker_url, tenant=tenant, timeout=CLIENT_SECONDS)

    async def _keep(self) -> None:
        """Starts again what has ended: poison ends workers, and somebody must bring them back, as an operator would."""
        while True:
            servers = [self.postgres, self.rabbitmq, *self.services, *self.workers, *self.subscribers]
            for server in filter(None, servers):
                if not server.running and server not in self.down:
                    # One that cannot start yet, because its disk is full, is tried again.
                    with suppress(ChildProcessError, TimeoutError):
                        await server.start()
            await asyncio.sleep(KEEP_SECONDS)
