"""Commands and queries over RabbitMQ, with replies by direct reply-to."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import aio_pika
from aio_pika import DeliveryMode
from pydantic_core import from_json

from millrace.amqp_session import REPLY_TO, Session
from millrace.contracts.operations import TRANSIENT
from millrace.ids import uuid7
from millrace.repeating import Unanswered, repeat_until_answered
from millrace.transport import Origin, Reply

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 10.0
CALLS = "millrace.calls"
CLAIMS = "millrace.claims"
QUERIES = "millrace.queries"
CLAIM = "job.claim"


class AmqpTransport:
    """Keeps one connection and makes a new one with the next message when it has broken.

    A message whose fate is unknown is published again with the same id, so the service carries it out once.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._user = unquote(urlsplit(url).username or "guest")
        self._session: Session | None = None
        self._connecting = asyncio.Lock()
        self._closed = False
        self._prefix = uuid7()
        self._numbers = itertools.count()

    async def execute(
        self,
        name: str,
        body: bytes,
        origin: Origin,
        message_id: str,
        *,
        timeout: float,
        hold: float = 0.0,
        repeat: bool = True,
    ) -> Reply:
        message = self._message(name, body, origin, message_id)
        if name == CLAIM:
            # Checked by the broker against the connection: whose jobs may be claimed depends on who asks.
            message.user_id = self._user
        # Nobody waits for the answer any more.
        message.expiration = hold + timeout
        # A lease must not lapse because its renewal waits behind thousands of commands.
        exchange = CLAIMS if name in TRANSIENT else CALLS

        async def attempt(remaining: float) -> Reply:
            return await self._request(exchange, name, origin, message, min(remaining, hold + ANSWER_SECONDS))

        return await repeat_until_answered(attempt, message_id=message_id, timeout=hold + timeout, repeat=repeat)

    async def query(
        self,
        name: str,
        body: bytes,
        origin: Origin,
        *,
        timeout: float,
        hold: float = 0.0,
        min_position: str | None = None,
    ) -> Reply:
        message = self._message(name, body, origin, uuid7())
        if min_position is not None:
            message.headers["min_position"] = min_position

        async def attempt(remaining: float) -> Reply:
            seconds = min(remaining, hold + ANSWER_SECONDS)
            # Nobody waits for the answer any more.
            message.expiration = seconds
            return await self._request(QUERIES, name, origin, message, seconds)

        return await repeat_until_answered(attempt, message_id=None, timeout=hold + timeout)

    async def close(self) -> None:
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(
        self, exchange: str, name: str, origin: Origin, message: aio_pika.Message, seconds: float
    ) -> Reply:
        deadline = time.monotonic() + seconds
        session = await self._connected(min(seconds, CONNECT_SECONDS))
        left = max(deadline - time.monotonic(), 0.01)
        answer = await session.request(exchange, f"{origin.tenant}.{name}", message, message.correlation_id or "", left)
        reply: Any = from_json(answer)
        if not isinstance(reply, dict) or "ok" not in reply:
            raise Unanswered("the reply is not one of Millrace's")
        return reply

    async def _connected(self, seconds: float) -> Session:
        async with self._connecting:
            if self._closed:
                raise Unanswered("the client was closed")
            if self._session is None or self._session.broken:
                stale, self._session = self._session, None
                if stale is not None:
                    stale.abandon()
                self._session = await Session.open(self._url, seconds)
            return self._session

    def _message(self, name: str, body: bytes, origin: Origin, message_id: str) -> aio_pika.Message:
        headers = {
            "tenant": origin.tenant,
            "company": origin.company,
            "correlation": origin.correlation_id,
            "causation": origin.causation_id,
            "actor": origin.actor,
            "traceparent": origin.traceparent,
        }
        return aio_pika.Message(
            body,
            headers={key: value for key, value in headers.items() if value is not None},
            content_type="application/json",
            message_id=message_id,
            # Not the message id: two callers may send the same command at the same time, each for its own answer.
            correlation_id=f"{self._prefix}/{next(self._numbers)}",
            reply_to=REPLY_TO,
            type=name,
            timestamp=datetime.now(UTC),
            delivery_mode=DeliveryMode.NOT_PERSISTENT,
        )
