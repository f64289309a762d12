"""Crash points between a process and RabbitMQ: what is being published, confirmed, acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.faults.harness.amqp_frames import Acknowledgement, Cursor, Publication, frame_size, message_type
from tests.faults.harness.points import MESSAGE_RULES, message_points
from tests.faults.harness.tap import Piece, Tap, Wire

NOTHING: frozenset[str] = frozenset()
NO_ACK = 2


class AmqpTap(Tap):
    """Stands between one process and RabbitMQ: give the process `tap.url(broker_url)`."""

    points = frozenset(rule.point for rule in MESSAGE_RULES)

    def wire(self) -> Wire:
        return AmqpWire()


@dataclass(slots=True)
class _Message:
    """A publication of which more frames come."""

    publication: Publication
    raw: bytearray
    type: str = ""
    left: int = 0


class _Channel:
    """What one channel has under way: `published` waits for a confirm, `delivered` for an acknowledgement."""

    def __init__(self) -> None:
        self.confirms = False
        self.last = 0
        self.published: dict[int, tuple[str, str]] = {}
        self.delivered: dict[int, tuple[str, str]] = {}
        self.consumers: dict[str, str] = {}
        self.unnamed: list[str] = []
        self.message: _Message | None = None


class AmqpWire:
    """Follows one connection: its channels, their consumers, what is unconfirmed and unacknowledged."""

    def __init__(self) -> None:
        # the greeting of the protocol has no frame
        self._from_client, self._from_server, self._greeting = bytearray(), bytearray(), 8
        self._channels: dict[int, _Channel] = {}

    def client_sent(self, data: bytes) -> Iterator[Piece]:
        self._from_client += data
        if self._greeting:
            if len(self._from_client) < self._greeting:
                return
            yield Piece(_taken(self._from_client, self._greeting))
            self._greeting = 0
        while (size := frame_size(self._from_client)) is not None:
            raw = _taken(self._from_client, size)
            piece = self._sent(raw)
            if piece is not None:
                yield piece

    def server_sent(self, data: bytes) -> Iterator[Piece]:
        self._from_server += data
        while (size := frame_size(self._from_server)) is not None:
            raw = _taken(self._from_server, size)
            yield Piece(raw, self._answered(raw) if raw[0] == 1 else NOTHING)

    def _sent(self, raw: bytes) -> Piece | None:
        """The frame, or the message that it completes; None while more of the message is to come."""
        channel = self._channels.setdefault(int.from_bytes(raw[1:3], "big"), _Channel())
        if raw[0] == 1:
            return self._method_sent(channel, raw)
        message = channel.message
        if raw[0] not in (2, 3) or message is None:
            return Piece(raw)
        message.raw += raw
        if raw[0] == 2:
            message.left = int.from_bytes(raw[11:19], "big")
            message.type = message_type(raw[19:-1])
        else:
            message.left -= len(raw) - 8
        if message.left > 0:
            return None
        channel.message = None
        exchange, key = message.publication.exchange, message.publication.key
        return Piece(bytes(message.raw), message_points("publish", exchange, key, message.type))

    def _method_sent(self, channel: _Channel, raw: bytes) -> Piece | None:
        cursor = Cursor(raw, 7)
        match cursor.short(), cursor.short():
            case (60, 40):
                publication = Publication.read(cursor)
                if channel.confirms:
                    channel.last += 1
                    channel.published[channel.last] = publication.exchange, publication.key
                channel.message = _Message(publication, bytearray(raw))
                return None
            case (60, 80):
                return Piece(raw, _settled("acknowledge", channel.delivered, Acknowledgement.read(cursor)))
            case (60, 90):
                channel.delivered.pop(cursor.long_long(), None)
            case (60, 120):
                _settled("acknowledge", channel.delivered, Acknowledgement.read(cursor))
            case (60, 20):
                cursor.short()
                queue, tag = cursor.text(), cursor.text()
                acknowledges = not cursor.octet() & NO_ACK
                if acknowledges and tag:
                    channel.consumers[tag] = queue
                elif acknowledges:
                    channel.unnamed.append(queue)
            case (85, 10):
                channel.confirms = True
            case (20, 10):
                self._channels[int.from_bytes(raw[1:3], "big")] = _Channel()
            case _:
                pass
        return Piece(raw)

    def _answered(self, raw: bytes) -> frozenset[str]:
        channel = self._channels.setdefault(int.from_bytes(raw[1:3], "big"), _Channel())
        cursor = Cursor(raw, 7)
        match cursor.short(), cursor.short():
            case (60, 60):
                consumer, tag = cursor.text(), cursor.long_long()
                cursor.octet()
                cursor.text()
                if consumer in channel.consumers:
                    channel.delivered[tag] = channel.consumers[consumer], cursor.text()
            case (60, 21):
                if channel.unnamed:
                    channel.consumers.setdefault(cursor.text(), channel.unnamed.pop(0))
            case (60, 80):
                return _settled("confirm", channel.published, Acknowledgement.read(cursor))
            case (60, 120):
                _settled("confirm", channel.published, Acknowledgement.read(cursor))
            case _:
                pass
        return NOTHING


def _settled(
    at: Literal["confirm", "acknowledge"], waiting: dict[int, tuple[str, str]], done: Acknowledgement
) -> frozenset[str]:
    """Takes what is settled out of `waiting`; returns the points at which any of it stands."""
    if done.multiple:
        tags = [tag for tag in waiting if tag <= done.tag or not done.tag]
    else:
        tags = [done.tag] if done.tag in waiting else []
    return NOTHING.union(*(message_points(at, *waiting.pop(tag), "") for tag in tags))


def _taken(buffer: bytearray, size: int) -> bytes:
    raw = bytes(buffer[:size])
    del buffer[:size]
    return raw
