"""One place for connecting to RabbitMQ: heartbeat, deadlines, reconnecting, topology first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from adapters.amqp.calls import guarded
from adapters.amqp.confirms import BatchConfirms, BatchConnection
from adapters.amqp.errors import BrokerUnavailable
from adapters.amqp.supervision import Supervised

HEARTBEAT = 5
CONNECT_TIMEOUT = 5.0
CLOSE_TIMEOUT = 2.0


def connection_url(url: str, name: str) -> str:
    """The URL with our heartbeat and a connection name that operators see in the broker.

    With the library's default heartbeat of 60 s a paused broker goes unnoticed for minutes; with 5 s for 18 s.
    """
    return str(URL(url).update_query(heartbeat=str(HEARTBEAT), name=name))


class Link:
    """One connection that comes back by itself.

    `prepare` is called on every new connection before anybody may use it; it declares the topology, so that nothing
    is published to a broker that has lost it.
    """

    def __init__(self, url: str, name: str, prepare: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        self._url, self._name, self._prepare = url, name, prepare
        self._connection: BatchConnection | None = None
        self._usable, self._lost = asyncio.Event(), asyncio.Event()
        self._supervised = Supervised(name, self._session)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def problem(self) -> str | None:
        return self._supervised.problem

    def start(self) -> None:
        self._supervised.start()

    async def stop(self) -> None:
        await self._supervised.stop()

    async def connection(self, seconds: float) -> BatchConnection:
        """The connection of the moment.

        Raises:
            BrokerUnavailable: there was none within `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._usable.wait()
        except TimeoutError:
            pass
        if self._connection is None:
            raise BrokerUnavailable(f"{self._name}: {self.problem or 'the connection was lost'}")
        return self._connection

    def distrust(self, connection: AbstractConnection) -> None:
        """Gives up a connection whose state is unknown, for instance after a call that timed out."""
        if connection is self._connection:
            self._connection = None
            self._usable.clear()
            self._lost.set()

    async def _session(self, established: Callable[[], None]) -> None:
        self._lost = lost = asyncio.Event()
        connection = await open_connection(self._url, self._name)
        connection.close_callbacks.add(lambda *_: self._closed(connection, lost))
        try:
            await self._prepare(connection)
            self._connection = connection
            self._usable.set()
            established()
            await lost.wait()
        finally:
            self.distrust(connection)
            await close_connection(connection)

    def _closed(self, connection: AbstractConnection, lost: asyncio.Event) -> None:
        self.distrust(connection)
        lost.set()


class ChannelOf:
    """One channel on a link, opened when it is first needed and again on every new connection."""

    def __init__(self, link: Link, *, confirms: bool) -> None:
        self._link, self._confirms = link, confirms
        self._connection: BatchConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def get(self, seconds: float) -> AbstractChannel:
        """An open channel; with confirms, a message that no queue takes makes its publication fail.

        Raises:
            BrokerUnavailable: there is none within `seconds`.
        """
        async with self._opening:
            connection = await self._link.connection(seconds)
            if self._channel is None or self._channel.is_closed or connection is not self._connection:
                channel = connection.channel(publisher_confirms=self._confirms, on_return_raises=self._confirms)
                await guarded(channel.initialize(), seconds)
                self._connection, self._channel = connection, channel
            return self._channel

    @property
    def batches(self) -> BatchConfirms:
        """Where the channel's connection is told which messages are confirmed together."""
        assert self._connection is not None
        return self._connection.confirms

    def distrust(self) -> None:
        """Gives up the connection under the channel."""
        self._channel = None
        if self._connection is not None:
            self._link.distrust(self._connection)


async def open_connection(url: str, name: str) -> BatchConnection:
    """Connects once, without reconnecting.

    Raises:
        BrokerUnavailable: no connection within the deadline.
    """
    connecting = aio_pika.connect(connection_url(url, name), timeout=CONNECT_TIMEOUT, connection_class=BatchConnection)
    return cast(BatchConnection, await guarded(connecting, CONNECT_TIMEOUT + 1))


async def close_connection(connection: AbstractConnection) -> None:
    """Closes a connection, or what is left of it; returns within a deadline whatever the broker does."""
    try:
        await guarded(connection.close(), CLOSE_TIMEOUT)
    except BrokerUnavailable:
        pass  # it is gone, which is what was wanted
