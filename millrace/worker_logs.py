"""Carries what attempts log to the service, many lines in one message."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from millrace.contracts.job_logs import LINE_BYTES, MAX_BYTES, MAX_FIELD_BYTES, MAX_LINES, MAX_MESSAGE_CHARS, Level
from millrace.errors import MillraceError, Refused
from millrace.ids import uuid7
from millrace.link import Link, read_answer
from millrace.logs import Log
from millrace.transport import Origin
from millrace.worker_leases import Key
from millrace.worker_outcomes import clean

log = Log("millrace.worker")

INTERVAL_SECONDS = 1.0
MESSAGE_BYTES = 524_288
ATTEMPTS = 1_000
# All that waits while the service cannot be reached; beyond it the oldest attempts' lines go.
WAITING_BYTES = 16_777_216


class Line(NamedTuple):
    body: bytes
    size: int


class _Lines:
    """What one attempt has written and the service does not have."""

    __slots__ = ("size", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Line] = deque()
        self.size = 0

    def add(self, line: Line) -> int:
        """Takes a line; returns by how many bytes there is more, after the oldest ones beyond the bounds have gone."""
        before = self.size
        self.waiting.append(line)
        self.size += line.size
        while len(self.waiting) > MAX_LINES or self.size > MAX_BYTES:
            self.size -= self.waiting.popleft().size
        return self.size - before


class Logs:
    """The lines of all attempts of a worker. Any thread may add one.

    They are sent once a second, and at once when their attempt has ended. Made in the worker's event loop.
    """

    def __init__(self, link: Link, origin: Origin) -> None:
        self._link, self._origin = link, origin
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._numbers: dict[Key, int] = {}
        # Of attempts of other tenants than the worker's own.
        self._tenants: dict[Key, str] = {}
        self._waiting: dict[Key, _Lines] = {}
        self._size = 0
        self._hurry = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._scheduled = False

    def add(self, key: Key, level: Level, message: str, fields: Mapping[str, Any]) -> None:
        """Takes one line."""
        text, more = clean(message)[:MAX_MESSAGE_CHARS], _encoded(fields)
        with self._lock:
            n = self._numbers[key] = self._numbers.get(key, 0) + 1
            at = datetime.now(UTC).isoformat()
            body = b'{"n":%d,"at":"%b","level":"%b","message":%b,"fields":%b}' % (
                n, at.encode(), level.encode(), to_json(text), more,
            )  # fmt: skip
            line = Line(body, len(text.encode()) + len(more) + LINE_BYTES)
            self._size += self._waiting.setdefault(key, _Lines()).add(line)
            while self._size > WAITING_BYTES:
                self._size -= self._waiting.pop(next(iter(self._waiting))).size
            scheduled, self._scheduled = self._scheduled, True
        if not scheduled:
            self._loop.call_soon_threadsafe(self._start)

    def begun(self, key: Key, tenant: str | None) -> None:
        """The attempt may write from now on, for a tenant if one is named."""
        if tenant is not None and tenant != self._origin.tenant:
            with self._lock:
                self._tenants[key] = tenant

    def ended(self, key: Key) -> None:
        """The attempt writes nothing more."""
        with self._lock:
            self._numbers.pop(key, None)
            waits = key in self._waiting
            if not waits:
                self._tenants.pop(key, None)
        if waits:
            self._hurry.set()

    async def drained(self) -> None:
        """Returns when the service has everything, or will not take it."""
        while self._scheduled:
            self._hurry.set()
            if self._sending is not None:
                await asyncio.wait({self._sending})
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Gives up what could not be delivered."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    def _start(self) -> None:
        self._sending = self._loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        while True:
            try:
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()
            while taken := self._take():
                if not await self._delivered(*taken):
                    await asyncio.sleep(INTERVAL_SECONDS)
            with self._lock:
                if not self._waiting:
                    self._scheduled = False
                    return

    def _take(self) -> tuple[dict[Key, list[Line]], Origin] | None:
        """As many lines of one tenant as a message may have, and in whose name they are sent."""
        taken: dict[Key, list[Line]] = {}
        size = 0
        with self._lock:
            if not self._waiting:
                return None
            tenant = self._tenants.get(next(iter(self._waiting)))
            for key in [key for key in self._waiting if self._tenants.get(key) == tenant][:ATTEMPTS]:
                if size >= MESSAGE_BYTES:
                    break
                lines = self._waiting.pop(key)
                taken[key] = list(lines.waiting)
                size += lines.size
                self._size -= lines.size
        return taken, self._origin.in_name_of(tenant)

    async def _delivered(self, taken: dict[Key, list[Line]], origin: Origin) -> bool:
        attempts = b",".join(
            b'{"job_id":%b,"attempt":%d,"lines":[%b]}'
            % (to_json(key[0]), key[1], b",".join(line.body for line in lines))
            for key, lines in taken.items()
        )
        try:
            reply = await self._link.transport.execute(
                "job.log", b'{"attempts":[%b]}' % attempts, origin, uuid7(), timeout=self._link.settings.timeout
            )
            read_answer(reply)
        except Refused as error:
            log.error("lines of jobs were refused", attempts=len(taken), error=str(error))
        except MillraceError as error:
            log.warning("lines of jobs wait", attempts=len(taken), error=str(error))
            self._put_back(taken)
            return False
        self._forget(taken)
        return True

    def _forget(self, taken: dict[Key, list[Line]]) -> None:
        """Nothing more comes of those of the attempts that have ended."""
        with self._lock:
            for key in taken:
                if key not in self._numbers and key not in self._waiting:
                    self._tenants.pop(key, None)

    def _put_back(self, taken: dict[Key, list[Line]]) -> None:
        with self._lock:
            newer, self._waiting = self._waiting, {}
            self._size = 0
            for key in [*taken, *(key for key in newer if key not in taken)]:
                lines = self._waiting.setdefault(key, _Lines())
                for line in [*taken.get(key, ()), *(newer[key].waiting if key in newer else ())]:
                    self._size += lines.add(line)


def _encoded(fields: Mapping[str, Any]) -> bytes:
    """The fields as JSON; what JSON does not have is written as its text, and what is too long is left out."""
    try:
        text = to_json(dict(fields), fallback=repr, inf_nan_mode="null")
        from_json(text)
    except (ValueError, RecursionError):
        return to_json({"unreadable": sorted(clean(name) for name in fields)[:20]})
    return text if len(text) <= MAX_FIELD_BYTES else to_json({"too_large": sorted(clean(name) for name in fields)[:20]})
