"""RabbitMQ as a whole: what the composition root starts and stops."""

from __future__ import annotations

from collections.abc import Mapping

from aio_pika.abc import AbstractConnection

from adapters.amqp import declaration
from adapters.amqp.connection import Link
from adapters.amqp.ingress import Ingress
from adapters.amqp.publisher import AmqpPublisher, BulkSender
from adapters.amqp.samples import AmqpSamples
from adapters.amqp.topology import EVENTS, EVENTS_LOG, Binding, inbound, outbound
from handlers.gateway import Gateway


class AmqpBus:
    """Commands, claims and queries in; replies and events out; samples both ways.

    Four connections: one consumes, one answers and parks, one publishes events, one is for samples. A broker that
    blocks its publishers (its disk or memory is full) stops reading from whole connections, and events must not hold up
    answers.
    """

    def __init__(
        self,
        url: str,
        gateway: Gateway,
        claims_for: Mapping[str, tuple[str, ...]] | None = None,
        samples: AmqpSamples | None = None,
        *,
        events_log: bool = False,
    ) -> None:
        """
        Args:
            claims_for: see `adapters.amqp.requests.claims`.
            samples: carries samples; default one of its own.
            events_log: keeps a copy of the newest events in the stream `millrace.events.log`.
        """
        self._answering = Link(url, "millrace.answers", _prepare_inbound)
        self._publishing = Link(url, "millrace.events", _with_log if events_log else _without_log)
        self._ingress = Ingress(url, self._answering, gateway, claims_for)
        self._serving = True
        # Without the log an event that nobody subscribed to goes to no queue, as it should.
        self.publisher = AmqpPublisher(self._publishing, mandatory=events_log)
        self.sender = BulkSender(self._publishing)
        self.samples = samples or AmqpSamples(url)

    @property
    def publishing(self) -> Link:
        """The connection that carries events, for the feeder of subscriptions' queues."""
        return self._publishing

    @property
    def healthy(self) -> bool:
        """Whether workers can reach us: commands and renewals are consumed, and can be answered.

        The lease sweeper asks this too: nobody's lease may lapse while renewals could not be served.
        """
        return self._ingress.healthy and self._answering.connected

    @property
    def problem(self) -> str | None:
        """What keeps the bus from working, for people; None while it works."""
        incoming = self._ingress.problem or self._answering.problem if self._serving else None
        return incoming or self._publishing.problem

    async def start(self, *, serving: bool = True) -> None:
        """Begins to connect and returns; a broker that is not there yet is tried until it is.

        Args:
            serving: takes commands, claims and queries too; otherwise events go out and nothing comes in.
        """
        self._serving = serving
        self._publishing.start()
        if serving:
            self._answering.start()
            self._ingress.start()
            self.samples.start()

    async def stop(self) -> None:
        """Stops consuming first, answers what is under way, then disconnects; at most about 15 s."""
        await self._ingress.stop()
        await self.samples.stop()
        await self._publishing.stop()
        await self._answering.stop()


async def _prepare_inbound(connection: AbstractConnection) -> None:
    await declaration.apply(connection, inbound())


async def _with_log(connection: AbstractConnection) -> None:
    await declaration.apply(connection, outbound(events_log=True))


async def _without_log(connection: AbstractConnection) -> None:
    await declaration.apply(connection, outbound(events_log=False))
    await declaration.unbind(connection, Binding(EVENTS, EVENTS_LOG))
