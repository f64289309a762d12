"""The one retry loop of the client: the same message, the same id, until somebody answers or time is up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from millrace.errors import TEMPORARY, MillraceError, OutcomeUnknown, Unavailable
from millrace.transport import Reply

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0


class Unreached(MillraceError):
    """Raised by one attempt to send when the service certainly did not get the message."""


class Unanswered(MillraceError):
    """Raised by one attempt to send when the service may have got the message."""


def backoff(failures: int) -> float:
    """Seconds to wait after the `failures`-th failure in a row: doubling, bounded, and drawn so that herds spread."""
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)


async def repeat_until_answered(
    attempt: Callable[[float], Awaitable[Reply]],
    *,
    message_id: str | None,
    timeout: float,
    repeat: bool = True,
) -> Reply:
    """Calls `attempt` with the seconds that are left until it returns a final reply.

    A reply that asks to come back later is a failure too, but the last one is returned when time is up.

    Args:
        message_id: None for a query, which has no effect that could be unknown.

    Raises:
        Unavailable: no attempt can have had an effect.
        OutcomeUnknown: one may have had.
    """
    deadline = time.monotonic() + timeout
    failures = 0
    in_doubt: MillraceError | None = None
    while True:
        reply: Reply | None = None
        wait = 0.0
        reason: MillraceError
        try:
            reply = await attempt(max(deadline - time.monotonic(), 0.01))
            later = asks_for_later(reply)
            if later is None:
                return reply
            wait, reason = later, Unreached("the service asked to come back later")
        except Unreached as error:
            reason = error
        except Unanswered as error:
            reason = in_doubt = error
        failures += 1
        pause = max(wait, backoff(failures))
        if not repeat or time.monotonic() + pause >= deadline:
            if message_id is not None and in_doubt is not None:
                raise OutcomeUnknown(message_id, str(in_doubt)) from reason
            if reply is not None:
                return reply
            raise Unavailable(str(reason)) from reason
        await asyncio.sleep(pause)


def asks_for_later(reply: Reply) -> float | None:
    """Seconds to wait when the reply, or one of a batch's, is a temporary refusal; None when it is final."""
    if "results" in reply:
        waits = [wait for item in reply["results"] if (wait := _wait(item)) is not None]
        return max(waits) if waits else None
    return _wait(reply)


def _wait(reply: dict[str, Any]) -> float | None:
    if reply.get("ok"):
        return None
    error = reply.get("error") or {}
    return float(error.get("retry_after") or 0.0) if error.get("code") in TEMPORARY else None
