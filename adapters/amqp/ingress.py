"""Consumes commands, claims and queries through FastStream.

FastStream makes the connection and the consumers and hands over what arrives. It runs lean (no type application, the
message left undecoded, acknowledgement by hand), which is three times as fast, and each of its brokers lives for one
connection: the underlying robust connection would consume again before the topology is declared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aio_pika import IncomingMessage
from aio_pika.exceptions import InvalidFrameError
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from adapters.amqp import declaration
from adapters.amqp.acknowledging import Acknowledger
from adapters.amqp.calls import guarded
from adapters.amqp.commands import Commands
from adapters.amqp.connection import CONNECT_TIMEOUT, Link, connection_url
from adapters.amqp.delivery import Delivery
from adapters.amqp.errors import BrokerUnavailable
from adapters.amqp.parking import Parking
from adapters.amqp.replies import Replies
from adapters.amqp.requests import Requests, claims, queries
from adapters.amqp.supervision import Supervised
from adapters.amqp.topology import CALLS, CLAIMS, COMMANDS, QUERIES, inbound
from handlers.gateway import Gateway

log = structlog.get_logger(__name__)

PREFETCH = 200
MOST_REQUESTS = 2_000
DEADLINE = 10.0
TOPOLOGY_EVERY = 5.0
QUARANTINE = 3.0
GRACE = 3.0
STOP_WITHIN = 12.0


class Ingress:
    """The consumers of one process.

    Work never runs inside a consumer's callback, where the library would cancel it with the connection: the callback
    hands the message over and returns. The broker delivers again what was not acknowledged, and the gateway answers a
    repeated command like the first.

    A message whose properties the library cannot decode (text that is not UTF-8, a date beyond the year 9999) costs the
    connection, and it comes back first on the next one. Then commands are consumed one at a time for a while, so
    that only this message uses up its delivery limit, after which the broker parks it.
    """

    def __init__(
        self, url: str, link: Link, gateway: Gateway, claims_for: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        replies = Replies(link)
        self._url, self._link = url, link
        self._claims = claims(gateway, replies, MOST_REQUESTS, claims_for)
        self._queries = queries(gateway, replies, MOST_REQUESTS)
        self._commands = Commands(
            gateway, replies, Parking(link), lambda delivery, request: self._claims.take(delivery.message, request)
        )
        self._acknowledgers: dict[str, Acknowledger] = {}
        self._lost = asyncio.Event()
        self._quarantined_until = 0.0
        self._supervised = Supervised("millrace.ingress", self._session)

    @property
    def healthy(self) -> bool:
        """Whether commands, claims and queries are being consumed."""
        return self._supervised.up and not self._lost.is_set()

    @property
    def problem(self) -> str | None:
        return self._supervised.problem

    def start(self) -> None:
        self._supervised.start()

    async def stop(self) -> None:
        """Stops consuming, gives what runs 3 s to be answered, and hands the rest back to the broker."""
        await self._supervised.stop(STOP_WITHIN)
        for part in (self._commands, self._claims, self._queries):
            await part.stop()

    async def _session(self, established: Callable[[], None]) -> None:
        await declaration.apply(await self._link.connection(CONNECT_TIMEOUT), inbound())
        now = asyncio.get_running_loop().time()
        quarantined = now < self._quarantined_until
        self._lost = lost = asyncio.Event()
        broker = self._broker(lost, quarantined=quarantined)
        try:
            await guarded(broker.start(), DEADLINE)
            established()
            await (self._sit_out(lost) if quarantined else self._watch(lost))
        finally:
            self._claims.let_go()
            # Questions that are soon answered are given the time that commands get.
            await self._close(broker, lost)
            self._queries.let_go()

    def _broker(self, lost: asyncio.Event, *, quarantined: bool) -> RabbitBroker:
        def closed(_: Any, error: BaseException | None) -> None:
            if isinstance(error, InvalidFrameError):
                log.warning("undecodable_message", error=str(error))
                self._quarantined_until = asyncio.get_running_loop().time() + QUARANTINE
            lost.set()

        broker = RabbitBroker(
            connection_url(self._url, "millrace.ingress"),
            timeout=CONNECT_TIMEOUT,
            reconnect_interval=1.0,  # also how soon a consumer is restored whose queue was deleted
            graceful_timeout=1.0,
            on_close=[closed],
            apply_types=False,
            decoder=_undecoded,
            logger=None,
        )
        prefetch = 1 if quarantined else PREFETCH
        self._subscribe(broker, COMMANDS, self._take_command, Channel(prefetch_count=prefetch))
        if not quarantined:
            self._subscribe(broker, CALLS, self._take_call, Channel(prefetch_count=PREFETCH))
            for queue, take in ((CLAIMS, self._take_claim), (QUERIES, self._take_query)):
                self._subscribe(broker, queue, take, Channel(prefetch_count=2 * MOST_REQUESTS))
        return broker

    def _subscribe(
        self, broker: RabbitBroker, queue: str, take: Callable[[IncomingMessage], None], channel: Channel
    ) -> None:
        async def handle(message: RabbitMessage) -> None:
            take(message.raw_message)

        subscriber = broker.subscriber(
            RabbitQueue(queue, declare=False), channel=channel, ack_policy=AckPolicy.MANUAL, no_reply=True
        )
        subscriber(handle)

    def _take_command(self, message: IncomingMessage) -> None:
        self._commands.take(self._delivery(COMMANDS, message))

    def _take_call(self, message: IncomingMessage) -> None:
        self._commands.take(self._delivery(CALLS, message))

    def _take_claim(self, message: IncomingMessage) -> None:
        self._take_request(CLAIMS, message, self._claims)

    def _take_query(self, message: IncomingMessage) -> None:
        self._take_request(QUERIES, message, self._queries)

    def _take_request(self, queue: str, message: IncomingMessage, requests: Requests) -> None:
        delivery = self._delivery(queue, message)
        if message.redelivered:
            delivery.acknowledge()
            requests.take(message)
        else:
            requests.take(message, acknowledge=delivery.acknowledge)

    def _delivery(self, queue: str, message: IncomingMessage) -> Delivery:
        channel: Any = message.channel
        acknowledger = self._acknowledgers.get(queue)
        if acknowledger is None or acknowledger.channel is not channel:
            acknowledger = self._acknowledgers[queue] = Acknowledger(channel)
        return Delivery(message, acknowledger)

    async def _watch(self, lost: asyncio.Event) -> None:
        """Returns when the connection is lost; until then puts back what somebody deletes from the topology."""
        while not await _set_within(lost, TOPOLOGY_EVERY):
            try:
                await declaration.apply(await self._link.connection(0), inbound())
            except BrokerUnavailable as error:
                log.info("topology_not_checked", error=str(error))

    async def _sit_out(self, lost: asyncio.Event) -> None:
        await _set_within(lost, QUARANTINE)

    async def _close(self, broker: RabbitBroker, lost: asyncio.Event) -> None:
        try:
            if not lost.is_set():
                for subscriber in broker.subscribers:
                    await guarded(subscriber.stop(), GRACE)
                await self._commands.settle(GRACE)
            await guarded(broker.stop(), GRACE)
        except BrokerUnavailable as error:
            log.info("ingress_closed_hard", error=str(error))


async def _undecoded(message: RabbitMessage) -> RabbitMessage:
    return message


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
