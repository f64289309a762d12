"""Whatever the library makes of a lost connection is one of the client's own errors, and nothing else is."""

from __future__ import annotations

import asyncio

import aiormq.exceptions
import pytest
from pamqp.exceptions import PAMQPException

from millrace.amqp_session import library_errors
from millrace.repeating import Unanswered


@pytest.mark.parametrize(
    "error",
    [
        Exception(),
        aiormq.exceptions.ConnectionClosed(320, "CONNECTION_FORCED"),
        aiormq.exceptions.ChannelInvalidStateError(),
        PAMQPException(),
        ConnectionResetError(),
        EOFError(),
        asyncio.InvalidStateError(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_lost_connection_leaves_the_outcome_open(error: BaseException) -> None:
    with pytest.raises(Unanswered, match="lost") as raised, library_errors(Unanswered, "the connection was lost"):
        raise error
    assert raised.value.__cause__ is error


async def test_a_mistake_of_ours_is_not_taken_for_a_lost_connection() -> None:
    with pytest.raises(KeyError), library_errors(Unanswered, "the connection was lost"):
        raise KeyError("a name")
