"""Samples over NOTIFY, for a service without a broker: every process hears those of all. Nothing here is repeated."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable

import asyncpg
import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from adapters.postgres.errors import translated
from adapters.samples import MOST_WAITING, PAUSE_SECONDS, LocalSamples, Newest
from domain.live import Sample
from handlers.persistence import persistently

CHANNEL = "millrace_samples"
# A notification has less than 8,000 bytes.
MOST_BYTES = 7_900
MOST_BYTES_AT_ONCE = 131_072
LOOK_SECONDS = 1.0
SEND_SECONDS = 5.0
# The server keeps what a frozen listener does not read, and refuses every notification once it has no room: the
# doorbell's matter more than these.
FULLEST = 0.1
SEND = f"""
SELECT pg_notify('{CHANNEL}', parcel) FROM unnest($1::text[]) AS parcel
 WHERE (SELECT pg_notification_queue_usage()) < $2
"""
log = structlog.get_logger("samples")


class PostgresSamples:
    """Implements `domain.live.Samples` while `run` runs. Alone, a process has no connection for them and sends none;
    while the database is away, it hears its own samples alone.

    Args:
        alone: whether no other process is there.
        pause: seconds between two of its notifications.
        most: how many subjects may wait.
        fullest: how much of the server's queue of notifications may be in use, 0 to 1; beyond that none are sent.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection[asyncpg.Record]]],
        alone: Callable[[], bool],
        *,
        pause: float = PAUSE_SECONDS,
        most: int = MOST_WAITING,
        fullest: float = FULLEST,
    ) -> None:
        self._connect, self._alone, self._pause, self._fullest = connect, alone, pause, fullest
        self._local = LocalSamples(pause, most)
        self._waiting, self._some = Newest(most), asyncio.Event()
        # Not the session: after a reconnection the one before may still be sending.
        self._process, self._unsent = uuid.uuid4().hex, 0
        self._samples: TypeAdapter[list[Sample]] = TypeAdapter(list[Sample])
        self._connected = False

    @property
    def connected(self) -> bool:
        """Whether the samples of other processes arrive."""
        return self._connected

    @property
    def left_out(self) -> int:
        return self._local.left_out + self._waiting.left_out + self._unsent

    def emit(self, sample: Sample) -> None:
        self._local.emit(sample)
        if self._connected:
            self._waiting.put(sample)
            self._some.set()

    def listen(self, hear: Callable[[Sample], None]) -> Callable[[], None]:
        return self._local.listen(hear)

    async def run(self) -> None:
        """Carries samples while other processes are there, until cancelled."""
        await persistently("samples between processes", self._carry, pause=LOOK_SECONDS)

    @translated
    async def _carry(self) -> None:
        if self._alone():
            return
        connection = await self._connect()
        try:
            connection.add_termination_listener(lambda _: self._some.set())
            await connection.add_listener(CHANNEL, self._arrived)
            self._connected = True
            while not self._alone():
                await self._send_on(connection)
        finally:
            self._connected = False
            self._waiting.take()
            connection.terminate()

    def _arrived(self, _: object, __: int, ___: str, payload: object) -> None:
        process, _space, text = str(payload).partition(" ")
        if process == self._process or not self._local.heard:
            return
        try:
            samples = self._samples.validate_json(text)
        except ValidationError:
            log.info("unreadable samples", action="sample_unreadable")
            return
        for sample in samples:
            self._local.tell(sample)

    async def _send_on(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Waits for samples and sends what one turn has room for; what is left waits for the next."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._some.wait()
        except TimeoutError:
            return
        self._some.clear()
        if connection.is_closed():
            raise asyncpg.InterfaceError("the connection was closed by the server")
        if texts := self._texts():
            found = parcels(self._process, texts)
            if await connection.execute(SEND, found, self._fullest, timeout=SEND_SECONDS) == "SELECT 0":
                self._unsent += len(texts)
        await asyncio.sleep(self._pause)

    def _texts(self) -> list[bytes]:
        found: list[bytes] = []
        size = 0
        while size < MOST_BYTES_AT_ONCE and (sample := self._waiting.pop()) is not None:
            try:
                text = to_json(sample)
            except ValueError:
                # Half a surrogate pair, say: it is shown here, and cannot be written.
                text = b""
            if text and len(text) <= MOST_BYTES - len(parcel_of(self._process, [])):
                found.append(text)
                size += len(text)
            else:
                self._unsent += 1
        if size >= MOST_BYTES_AT_ONCE:
            self._some.set()
        return found


def parcel_of(process: str, texts: Iterable[bytes]) -> bytes:
    """A notification: who sends it, and samples that are JSON already."""
    return b"%b [%b]" % (process.encode(), b",".join(texts))


def parcels(process: str, texts: Iterable[bytes], most: int = MOST_BYTES) -> list[str]:
    """As few notifications as have room for the samples, in their order.

    Args:
        texts: samples as JSON, none of which is too large for one notification.
        most: bytes of one notification.
    """
    found: list[str] = []
    waiting: list[bytes] = []
    empty = len(parcel_of(process, []))
    size = empty
    for text in texts:
        if waiting and size + len(text) > most:
            found.append(parcel_of(process, waiting).decode())
            waiting, size = [], empty
        waiting.append(text)
        size += len(text) + 1
    if waiting:
        found.append(parcel_of(process, waiting).decode())
    return found
