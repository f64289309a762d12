"""What can go wrong with the broker, as types that callers branch on."""

from __future__ import annotations

from domain.ports import PublishFailed


class BrokerUnavailable(Exception):
    """Raised when the broker cannot be reached, closed the connection, or did not answer within a deadline."""


class TopologyMismatch(Exception):
    """Raised when a queue or exchange exists with other settings than Millrace declares; nothing was changed.

    Attributes:
        kind: `queue` or `exchange`.
        name: which one.
        argument: the setting that differs.
        wanted, actual: the broker's wording of the two values.
    """

    def __init__(self, kind: str, name: str, argument: str, wanted: str, actual: str) -> None:
        super().__init__(
            f"{kind} {name!r} exists with another {argument!r}: wanted {wanted}, but it is {actual}. "
            f"Drain it, delete it (`rabbitmqctl delete_queue {name}`, or delete the exchange in the management "
            "interface) and run `millrace topology apply`"
        )
        self.kind, self.name, self.argument, self.wanted, self.actual = kind, name, argument, wanted, actual


class Unroutable(PublishFailed):
    """Raised when the broker returned a message because no queue took it.

    Attributes:
        exchange, routing_key: where it was sent.
    """

    def __init__(self, exchange: str, routing_key: str) -> None:
        super().__init__(f"no queue took the message sent to exchange {exchange!r} with routing key {routing_key!r}")
        self.exchange, self.routing_key = exchange, routing_key
