"""What an attempt has done so far, kept for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from pydantic_core import from_json

from millrace.contracts.job import MAX_CHECKPOINT_BYTES
from millrace.encoding import encode
from millrace.errors import CheckpointRefused, MillraceError, Refused, StaleAttempt
from millrace.link import Link
from millrace.logs import Log
from millrace.transport import Origin
from millrace.worker_leases import Key

log = Log("millrace.worker")

INTERVAL_SECONDS = 1.0
MAX_DEPTH = 90


class Done:
    """An awaitable that is over."""

    def __await__(self) -> Generator[None]:
        yield from ()


class Checkpoints:
    """The checkpoints of one attempt: the newest is sent at most once a second, unless it is forced.

    Args:
        origin: in whose name; that of the worker, so that those of many attempts share a message.
        lost: called when the service says that the attempt is not valid any more.
    """

    __slots__ = (
        "_acknowledged",
        "_key",
        "_link",
        "_loop",
        "_lost",
        "_number",
        "_open",
        "_origin",
        "_sending",
        "_state",
    )

    def __init__(self, link: Link, origin: Origin, key: Key, lost: Callable[[], None]) -> None:
        self._link, self._origin, self._key, self._lost = link, origin, key, lost
        self._loop = asyncio.get_running_loop()
        self._state = b"null"
        self._number = 0
        self._acknowledged = 0
        self._sending: asyncio.Task[None] | None = None
        self._open = True

    def save(self, state: object, force: bool) -> Awaitable[None]:
        """Notes the state. In a thread without an event loop it is done when this returns, else when it was awaited.

        Raises:
            CheckpointRefused: the state cannot be stored.
        """
        text = _encoded(state)
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run_coroutine_threadsafe(self._save(text, force), self._loop).result()
            return Done()
        if here is self._loop:
            return self._save(text, force)
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._save(text, force), self._loop))

    def close(self) -> bytes | None:
        """Ends it with the attempt; returns the state that the service may not have, if there is one."""
        if not self._open:
            return None
        self._open = False
        if self._sending is not None:
            self._sending.cancel()
        return self._state if self._acknowledged < self._number else None

    async def _save(self, text: bytes, force: bool) -> None:
        self._state = text
        self._number += 1
        if force:
            await self._send()
        elif self._open and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._keep_sending())

    async def _keep_sending(self) -> None:
        while self._acknowledged < self._number:
            try:
                await self._send()
            except StaleAttempt:
                return
            except Refused as error:
                log.error("a checkpoint was refused", job_id=self._key[0], attempt=self._key[1], error=str(error))
                self._acknowledged = self._number
            except MillraceError as error:
                log.warning("a checkpoint waits", job_id=self._key[0], attempt=self._key[1], error=str(error))
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _send(self) -> None:
        number, (job_id, attempt) = self._number, self._key
        body = {"job_id": job_id, "attempt": attempt, "state": from_json(self._state), "number": number}
        try:
            await self._link.execute("job.checkpoint", body, origin=self._origin)
        except StaleAttempt:
            self._lost()
            raise
        self._acknowledged = max(self._acknowledged, number)


def _encoded(state: object) -> bytes:
    try:
        text = encode(state)
    except (ValueError, RecursionError) as error:
        raise CheckpointRefused(f"a checkpoint must be JSON: {error}") from error
    if len(text) > MAX_CHECKPOINT_BYTES:
        raise CheckpointRefused(
            f"a checkpoint has at most {MAX_CHECKPOINT_BYTES} bytes of JSON, this one has {len(text)}; "
            "store the rest elsewhere and save where it is"
        )
    _refuse_unstorable(from_json(text), MAX_DEPTH)
    return text


def _refuse_unstorable(value: Any, depth: int) -> None:
    match value:
        case str() if "\x00" in value:
            raise CheckpointRefused("a checkpoint cannot have a NUL character; encode it, for example as base64")
        case list() | dict() if depth == 0:
            raise CheckpointRefused(f"a checkpoint is nested at most {MAX_DEPTH} levels deep")
        case list():
            for item in value:
                _refuse_unstorable(item, depth - 1)
        case dict():
            for key, item in value.items():
                _refuse_unstorable(key, depth - 1)
                _refuse_unstorable(item, depth - 1)
        case _:
            return
