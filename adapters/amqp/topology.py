"""The exchanges, queues and bindings that Millrace needs, as data.

Everything here is understood alike by RabbitMQ 3.10 to 4.3: no transient queue (4.x refuses those that are not
exclusive), no default left to the version (a quorum queue without `x-delivery-limit` has none in 3.x and 20 in 4.x).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COMMANDS = "millrace.commands"
PARKED = "millrace.commands.parked"
CALLS = "millrace.calls"
CLAIMS = "millrace.claims"
QUERIES = "millrace.queries"
EVENTS = "millrace.events"
EVENTS_LOG = "millrace.events.log"
LIVE = "millrace.live"
RESERVED_PREFIX = "millrace."

DELIVERY_LIMIT = 100
CALL_TTL = 60.0
CLAIM_TTL = 60.0
# As long as a question may be held, and a moment to answer it: one whose process dies is still worth asking.
QUERY_TTL = 70.0
GIGABYTE = 1_000_000_000
# The first version, which 3.x takes where none is named, may not recover its index after a power cut, and then neither
# serves the queue nor lets it be declared anew. 4.3 knows the second only.
CLASSIC: dict[str, Any] = {"x-queue-type": "classic", "x-queue-version": 2}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A topic exchange; one that is not durable goes with the broker's restart and is declared again."""

    name: str
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue with its arguments.

    Attributes:
        lasting: what is in it must not be lost, so that only an operator replaces one that was declared otherwise.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class Binding:
    exchange: str
    queue: str
    key: str = "#"


@dataclass(frozen=True, slots=True)
class Topology:
    """What is declared, in an order that works: parked before the queue that dead-letters into it."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def export(self, vhost: str = "/") -> dict[str, Any]:
        """Definitions as `rabbitmqctl import_definitions` and the management interface read them."""
        return {
            "exchanges": [
                {
                    "name": exchange.name,
                    "vhost": vhost,
                    "type": "topic",
                    "durable": exchange.durable,
                    "auto_delete": False,
                    "internal": False,
                    "arguments": {},
                }
                for exchange in self.exchanges
            ],
            "queues": [
                {
                    "name": queue.name,
                    "vhost": vhost,
                    "durable": True,
                    "auto_delete": False,
                    "arguments": dict(queue.arguments),
                }
                for queue in self.queues
            ],
            "bindings": [
                {
                    "source": binding.exchange,
                    "vhost": vhost,
                    "destination": binding.queue,
                    "destination_type": "queue",
                    "routing_key": binding.key,
                    "arguments": {},
                }
                for binding in self.bindings
            ],
        }


def topology(*, events_log: bool = True) -> Topology:
    """The declared topology. Queues of subscriptions are not in it: they come and go with the subscriptions.

    Args:
        events_log: with the stream that keeps a copy of the newest events.
    """
    inwards, outwards = inbound(), outbound(events_log=events_log)
    return Topology(
        inwards.exchanges + outwards.exchanges + live().exchanges,
        inwards.queues + outwards.queues,
        inwards.bindings + outwards.bindings,
    )


def outbound(*, events_log: bool = True) -> Topology:
    """What events need on their way out: apart, so that trouble with them never keeps commands from coming in."""
    if not events_log:
        return Topology((Exchange(EVENTS),), (), ())
    stream = {
        "x-queue-type": "stream",
        "x-max-length-bytes": GIGABYTE,
        "x-max-age": "7D",
        "x-stream-max-segment-size-bytes": GIGABYTE // 10,
    }
    return Topology((Exchange(EVENTS),), (Queue(EVENTS_LOG, stream),), (Binding(EVENTS, EVENTS_LOG),))


def live() -> Topology:
    """What samples need: nothing that lasts. The queues are the listeners' own."""
    return Topology((Exchange(LIVE, durable=False),), (), ())


def inbound() -> Topology:
    """What commands, claims and queries need on their way in."""
    return Topology(
        exchanges=(Exchange(COMMANDS), Exchange(CALLS), Exchange(CLAIMS), Exchange(QUERIES)),
        queues=(
            # Bounded, and the oldest goes first: a parked command was refused or could not be read, and a full place
            # for such messages must not stop those that can.
            Queue(PARKED, {"x-queue-type": "quorum", "x-max-length": 100_000, "x-overflow": "drop-head"}),
            # Quorum, because a classic queue confirms before it has fsynced. A full queue refuses, it does not drop,
            # which at-least-once dead-lettering also requires. The delivery limit is a far backstop: a connection
            # that is lost counts for every message in flight.
            Queue(
                COMMANDS,
                {
                    "x-queue-type": "quorum",
                    "x-delivery-limit": DELIVERY_LIMIT,
                    "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": PARKED,
                    "x-dead-letter-strategy": "at-least-once",
                    "x-overflow": "reject-publish",
                    "x-max-length-bytes": GIGABYTE,
                },
            ),
            # Their senders repeat them until they are answered, so that writing them to a disk first would be in vain.
            Queue(
                CALLS,
                {
                    **CLASSIC,
                    "x-message-ttl": int(CALL_TTL * 1000),
                    "x-overflow": "reject-publish",
                    "x-max-length-bytes": GIGABYTE,
                },
                lasting=False,
            ),
            # Nobody waits for an old claim or query: messages are transient and expire, only the queues are durable.
            Queue(CLAIMS, {**CLASSIC, "x-message-ttl": int(CLAIM_TTL * 1000)}, lasting=False),
            Queue(QUERIES, {**CLASSIC, "x-message-ttl": int(QUERY_TTL * 1000)}, lasting=False),
        ),
        bindings=(
            Binding(COMMANDS, COMMANDS),
            Binding(CALLS, CALLS),
            Binding(CLAIMS, CLAIMS),
            Binding(QUERIES, QUERIES),
        ),
    )


def subscription_queue(tenant: str, name: str) -> Queue:
    """The queue of a subscription that is delivered by AMQP.

    Its delivery limit is out of reach: what the consumer cannot handle it parks by command, and an event that the
    broker dropped would be a hole that nobody sees. One consumer at a time is given messages: while the broker takes a
    dead connection for alive, which it does for a moment even after it was killed itself, it holds messages back for
    that one, and a second consumer would see later ones first. A consumer that asks to be exclusive is not: quorum
    queues do not heed it.

    Raises:
        ValueError: the name is longer than the 255 bytes that AMQP allows.
    """
    queue_name = f"millrace.sub.{tenant}.{name}"
    if len(queue_name.encode()) > 255:
        raise ValueError(f"{queue_name!r} is longer than the 255 bytes of a queue name; give it a shorter name")
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000, "x-single-active-consumer": True}
    return Queue(queue_name, arguments)
