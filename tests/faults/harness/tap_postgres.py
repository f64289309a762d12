"""Crash points between a process and PostgreSQL: which statement is being sent, and which commit is being answered."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.faults.harness.forwarding import Pair
from tests.faults.harness.points import AT_COMMIT, AT_ONCE, COMMITTED, SQL_RULES, sql_rules
from tests.faults.harness.tap import Piece, Tap, Wire

SSL, GSS = 80877103, 80877104
COMMIT = re.compile(r"\s*(COMMIT|END)\b", re.IGNORECASE)
ROLLBACK = b"ROLLBACK"


class PostgresTap(Tap):
    """Stands between one process and PostgreSQL: give the process `tap.url(database_url)`.

    A message at a "committed" point is the whole answer, up to the server's word that it is ready: instead of it the
    process learns nothing, not even that its statement ran.
    """

    points = frozenset(rule.point for rule in SQL_RULES)

    def wire(self) -> Wire:
        return PostgresWire()

    async def greet(self, pair: Pair, wire: Wire) -> None:
        """Answers that nothing is encrypted here, where the client asks."""
        reader, client = pair.client
        while True:
            start = await reader.readexactly(8)
            if int.from_bytes(start[4:], "big") not in (SSL, GSS):
                break
            client.write(b"N")
        for piece in wire.client_sent(start):
            pair.server[1].write(piece.raw)


@dataclass(slots=True)
class _Cycle:
    """What the client sends up to a Sync, which the server answers as a whole.

    Attributes:
        points: of kinds "commit" and "committed", that its statements stand for.
        ends: it may end a transaction: it has a COMMIT, or a statement that may be one of its own.
    """

    points: set[str] = field(default_factory=set)
    ends: bool = False


class PostgresWire:
    """Follows one connection: prepared statements, what was executed, which transaction it belongs to."""

    def __init__(self) -> None:
        self._from_client, self._from_server = bytearray(), bytearray()
        self._begun = False
        self._texts: dict[bytes, str] = {}
        self._portals: dict[bytes, tuple[str, tuple[bytes, ...]]] = {}
        self._sending = _Cycle()
        self._unanswered: deque[_Cycle] = deque()
        # of the transaction that is open
        self._points: set[str] = set()
        self._held = bytearray()
        self._failed = False

    def client_sent(self, data: bytes) -> Iterator[Piece]:
        self._from_client += data
        while (size := self._size(self._from_client, typed=self._begun)) is not None:
            raw = bytes(self._from_client[:size])
            del self._from_client[:size]
            if self._begun:
                yield Piece(raw, self._sent(raw[:1], raw[5:]))
            else:
                self._begun = True
                yield Piece(raw)

    def server_sent(self, data: bytes) -> Iterator[Piece]:
        self._from_server += data
        while (size := self._size(self._from_server, typed=True)) is not None:
            raw = bytes(self._from_server[:size])
            del self._from_server[:size]
            self._held += raw
            ready = raw[:1] == b"Z"
            points = self._answered(raw[:1], raw[5:])
            if ready or not self._awaited():
                yield Piece(bytes(self._held), points)
                self._held.clear()

    def _awaited(self) -> bool:
        """Whether the answer that is coming may be that of a commit at a point, so that it is held together."""
        cycle = self._unanswered[0] if self._unanswered else self._sending
        return cycle.ends and not COMMITTED.isdisjoint(self._points | cycle.points)

    def _size(self, buffer: bytearray, *, typed: bool) -> int | None:
        start = 1 if typed else 0
        if len(buffer) < start + 4:
            return None
        size = start + int.from_bytes(buffer[start : start + 4], "big")
        return size if len(buffer) >= size else None

    def _sent(self, kind: bytes, body: bytes) -> frozenset[str]:
        points: frozenset[str] = frozenset()
        match kind:
            case b"P":
                name, text, _ = body.split(b"\0", 2)
                self._texts[name] = text.decode(errors="replace")
            case b"B":
                portal, name, rest = body.split(b"\0", 2)
                self._portals[portal] = self._texts.get(name, ""), _parameters(rest)
            case b"E":
                points = self._executed(*self._portals.get(body.split(b"\0", 1)[0], ("", ())))
            case b"Q":
                points = self._executed(body.rstrip(b"\0").decode(errors="replace"), ())
            case _:
                pass
        if kind in (b"Q", b"S", b"F"):
            self._unanswered.append(self._sending)
            self._sending = _Cycle()
        return points

    def _executed(self, text: str, parameters: tuple[bytes, ...]) -> frozenset[str]:
        found = frozenset(
            rule.point for rule in sql_rules(text) if rule.parameter is None or rule.parameter in parameters
        )
        self._sending.points |= found - AT_ONCE
        ended = set[str]()
        if COMMIT.match(text):
            self._sending.ends = True
            ended = (self._points | self._sending.points) & AT_COMMIT
        elif found:
            self._sending.ends = True
        return found & AT_ONCE | ended

    def _answered(self, kind: bytes, body: bytes) -> frozenset[str]:
        """The points of a commit that this message completes."""
        match kind:
            case b"E":
                self._failed = True
            case b"C" if body.startswith(ROLLBACK):
                self._failed = True
            case b"Z":
                if self._unanswered:
                    self._points |= self._unanswered.popleft().points
                failed, self._failed = self._failed, False
                if body == b"I":
                    done, self._points = self._points, set()
                    return frozenset() if failed else frozenset(done & COMMITTED)
            case _:
                pass
        return frozenset()


def _parameters(rest: bytes) -> tuple[bytes, ...]:
    formats = int.from_bytes(rest[:2], "big")
    at = 2 + 2 * formats
    count = int.from_bytes(rest[at : at + 2], "big")
    at += 2
    found = []
    for _ in range(count):
        size = int.from_bytes(rest[at : at + 4], "big", signed=True)
        at += 4
        found.append(rest[at : at + max(size, 0)])
        at += max(size, 0)
    return tuple(found)
