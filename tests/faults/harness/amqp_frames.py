"""The few frames of AMQP 0-9-1 that a tap must understand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

TYPE_FLAG = 5
HEADERS, DELIVERY_MODE, PRIORITY, TIMESTAMP = 13, 12, 11, 6
END = 1
HEAD = 7


class Cursor:
    """Reads one value after another."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self._at = data, at

    def _number(self, size: int) -> int:
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")

    def octet(self) -> int:
        return self._number(1)

    def short(self) -> int:
        return self._number(2)

    def long(self) -> int:
        return self._number(4)

    def long_long(self) -> int:
        return self._number(8)

    def text(self) -> str:
        size = self.octet()
        self._at += size
        return self._data[self._at - size : self._at].decode(errors="replace")

    def skip(self, size: int) -> None:
        self._at += size


@dataclass(frozen=True, slots=True)
class Publication:
    exchange: str
    key: str

    @classmethod
    def read(cls, cursor: Cursor) -> Self:
        cursor.short()
        return cls(cursor.text(), cursor.text())


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Also a negative one."""

    tag: int
    multiple: bool

    @classmethod
    def read(cls, cursor: Cursor) -> Self:
        return cls(cursor.long_long(), bool(cursor.octet() & 1))


def frame_size(buffer: bytearray) -> int | None:
    """Bytes of the frame at the start of the buffer; None while it is not complete."""
    if len(buffer) < HEAD:
        return None
    size = HEAD + int.from_bytes(buffer[3:7], "big") + END
    return size if len(buffer) >= size else None


def message_type(properties: bytes) -> str:
    """The `type` among a message's properties, which begin with their flags; empty where there is none."""
    cursor = Cursor(properties)
    flags = cursor.short()
    for bit in range(15, TYPE_FLAG, -1):
        if not flags & 1 << bit:
            continue
        match bit:
            case _ if bit == HEADERS:
                cursor.skip(cursor.long())
            case _ if bit in (DELIVERY_MODE, PRIORITY):
                cursor.octet()
            case _ if bit == TIMESTAMP:
                cursor.long_long()
            case _:
                cursor.text()
    return cursor.text() if flags & 1 << TYPE_FLAG else ""
