"""Connections that give up in time: a server that says nothing must not keep anybody waiting for its goodbye either."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

T = TypeVar("T")

if TYPE_CHECKING:
    # The stubs make these generic, the library does not.
    _Connection = asyncpg.Connection[asyncpg.Record]
    _Pool = asyncpg.Pool[asyncpg.Record]
else:
    _Connection, _Pool = asyncpg.Connection, asyncpg.Pool


class ImpatientConnection(_Connection):
    """A connection that is gone after a statement that took too long.

    The library would ask the server to cancel the statement and wait for its answer, as long again as the statement
    had.
    """

    __slots__ = ()

    def get_reset_query(self) -> str:
        """Nothing: nobody changes a setting, listens or locks on a pooled connection, and to reset all that each time
        would take as long as most of its statements."""
        return ""

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        return await self._in_time(super().execute(*args, **kwargs))

    async def fetch(self, *args: Any, **kwargs: Any) -> Any:
        return await self._in_time(super().fetch(*args, **kwargs))

    async def fetchrow(self, *args: Any, **kwargs: Any) -> Any:
        return await self._in_time(super().fetchrow(*args, **kwargs))

    async def fetchval(self, *args: Any, **kwargs: Any) -> Any:
        return await self._in_time(super().fetchval(*args, **kwargs))

    async def _in_time(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except TimeoutError:
            self.terminate()
            raise


class ImpatientPool(_Pool):
    """A pool whose connections are waited for `acquire_seconds` at most; then `TimeoutError` is raised."""

    acquire_seconds = 1.0

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(timeout=self.acquire_seconds if timeout is None else timeout)

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:
        """Takes a connection back. One whose statement was cancelled is waited for as long as one is waited for to be
        had; then it is gone, which is nothing that the task that was cancelled has to hear of."""
        with suppress(OSError):
            await super().release(connection, timeout=timeout)
