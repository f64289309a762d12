"""Calls into the AMQP client library that cannot hang and cannot be mistaken for our own shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aio_pika.exceptions import (
    AMQPError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
)
from pamqp.exceptions import PAMQPException

from adapters.amqp.errors import BrokerUnavailable

Result = TypeVar("Result")

MEANINGFUL = (ChannelNotFoundEntity, ChannelPreconditionFailed, DeliveryError)
LOST = (AMQPError, PAMQPException, OSError, EOFError, RuntimeError, TimeoutError, asyncio.InvalidStateError)


async def guarded(call: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """Awaits `call`, at most for `seconds`.

    The library rejects its pending calls with `CancelledError` when a connection goes. In the caller's own task that
    would look like a shutdown, so the call runs in a task of its own.

    Raises:
        BrokerUnavailable: no answer in time, or the connection was lost.
        ChannelNotFoundEntity, ChannelPreconditionFailed, DeliveryError: the broker's answers that mean something.
    """
    task = asyncio.ensure_future(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        abandon(task)
        raise
    if not done:
        abandon(task)
        raise BrokerUnavailable(f"the broker did not answer within {seconds:g} s")
    if task.cancelled():
        raise BrokerUnavailable("the connection to the broker was lost")
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, MEANINGFUL):
        raise error
    # The library rejects with the bare class `Exception` where it knows no cause.
    if isinstance(error, LOST) or type(error) is Exception:
        raise BrokerUnavailable(
            f"the connection to the broker was lost: {str(error) or type(error).__name__}"
        ) from error
    raise error


def abandon(task: asyncio.Future[Any]) -> None:
    """Cancels a task that nobody awaits any more, and takes note of its exception so that nobody is warned of it."""
    task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    task.cancel()
