"""Runs long calls only as long as somebody waits for their answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """Raised where the client closed the connection while its call was held; the call has been canceled."""


class ShuttingDown(Exception):
    """Raised where the service stops while a call is held; the call has been canceled."""


async def while_wanted(work: Coroutine[Any, Any, T], receive: Receive, *ends: asyncio.Event) -> T:
    """The result of `work`, which is canceled as soon as the client leaves or one of `ends` is set: the service stops.

    Canceling is finished when this returns: a call for a client that left has had no effect.

    Raises:
        ClientGone: the client left first.
        ShuttingDown: the service stops.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    stopped = [asyncio.ensure_future(end.wait()) for end in ends]
    try:
        await asyncio.wait({task, gone, *stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientGone
        raise ShuttingDown
    finally:
        for each in (task, gone, *stopped):
            each.cancel()
        await asyncio.gather(task, gone, *stopped, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
