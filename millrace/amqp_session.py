"""One connection to RabbitMQ with its reply address; used until it breaks, then thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aio_pika
import aiormq.exceptions
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage
from pamqp.exceptions import PAMQPException

from millrace.contracts.wire import Problem
from millrace.errors import Unauthorized
from millrace.repeating import Unanswered, Unreached

HEARTBEAT_SECONDS = 5
PUBLISH_SECONDS = 5.0
REPLY_TO = "amq.rabbitmq.reply-to"
LOST = (aio_pika.exceptions.AMQPError, PAMQPException, OSError, EOFError, RuntimeError, asyncio.InvalidStateError)


class Session:
    """Publishes requests with confirms and hands out the replies by correlation id.

    Everything that waits on a session fails with `Unanswered` once its connection is gone: replies cannot reach it.
    """

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel) -> None:
        self._connection = connection
        self._channel = channel
        self._exchanges: dict[str, AbstractExchange] = {}
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._closing: asyncio.Task[None] | None = None
        self.broken = False

    @classmethod
    async def open(cls, url: str, timeout: float) -> Session:
        """Connects and takes a reply address.

        Raises:
            Unreached: the broker is not there, or not ready.
            Unauthorized: it does not accept the user, password or virtual host.
        """
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(timeout):
                with library_errors(Unreached, "cannot connect to RabbitMQ"):
                    connection = await aio_pika.connect(url, heartbeat=HEARTBEAT_SECONDS, timeout=timeout)
                    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                    session = cls(connection, channel)
                    replies = await channel.get_queue(REPLY_TO, ensure=False)
                    await replies.consume(session._on_reply, no_ack=True)
        except BaseException as error:
            if connection is not None:
                await _close_quietly(connection)
            if isinstance(error, TimeoutError):
                raise Unreached(f"RabbitMQ did not answer within {timeout:g} s") from error
            raise
        connection.close_callbacks.add(session._on_closed)
        channel.close_callbacks.add(session._on_closed)
        return session

    async def request(
        self, exchange: str, routing_key: str, message: aio_pika.Message, reply_id: str, timeout: float
    ) -> bytes:
        """Publishes `message` and waits for the reply that carries `reply_id`.

        Raises:
            Unreached: no queue took the message.
            Unanswered: it may be on its way.
        """
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[reply_id] = reply
        try:
            async with asyncio.timeout(timeout):
                await self._publish(exchange, routing_key, message, min(timeout, PUBLISH_SECONDS))
                return await reply
        except TimeoutError:
            raise Unanswered(f"no reply within {timeout:g} s") from None
        finally:
            self._waiting.pop(reply_id, None)
            if reply.done() and not reply.cancelled():
                reply.exception()

    async def close(self) -> None:
        """Closes the connection; requests that still wait fail with `Unanswered`."""
        self._break("the connection was closed")
        await _close_quietly(self._connection)

    def abandon(self) -> None:
        """Takes the session out of use at once and closes it in the background."""
        self._break("the connection is given up")
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(_close_quietly(self._connection))

    async def _publish(self, exchange: str, routing_key: str, message: aio_pika.Message, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                target = self._exchanges.get(exchange)
                if target is None:
                    # Asked for first: publishing to what does not exist would leave the fate of all messages open.
                    with library_errors(Unreached, f"RabbitMQ has no exchange {exchange!r}"):
                        target = self._exchanges[exchange] = await self._channel.get_exchange(exchange, ensure=True)
                with library_errors(Unanswered, "the connection to RabbitMQ was lost"):
                    await target.publish(message, routing_key, mandatory=True)
        except TimeoutError:
            # Whatever stands in the way of this confirm stands in the way of the next one too.
            self.abandon()
            raise Unanswered(f"RabbitMQ did not confirm within {timeout:g} s") from None

    async def _on_reply(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(message.body)

    def _on_closed(self, _sender: Any, error: BaseException | None) -> None:
        self._break(f"the connection to RabbitMQ was lost: {error!r}")

    def _break(self, reason: str) -> None:
        self.broken = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Unanswered(reason))


@contextmanager
def library_errors(kind: type[Unreached | Unanswered], what: str) -> Iterator[None]:
    """Has what the library raises for a lost connection raised as `kind`.

    Raises:
        Unreached: no queue takes the message.
        Unauthorized: the broker refuses the user.
    """
    try:
        yield
    except aiormq.exceptions.PublishError as error:
        raise Unreached("no queue takes this message: the service is not running on this broker") from error
    except (aiormq.exceptions.ProbableAuthenticationError, aiormq.exceptions.AuthenticationError) as error:
        detail = "RabbitMQ does not accept this user and password"
        raise Unauthorized(Problem(title="Unauthorized", status=401, code="unauthorized", detail=detail)) from error
    except asyncio.CancelledError as error:
        # aio-pika cancels what waits on a lost connection. Only a task that was asked to end has `cancelling`.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise kind(what) from error
    except Exception as error:
        # The library rejects with the bare class `Exception` where it knows no cause.
        if not isinstance(error, LOST) and type(error) is not Exception:
            raise
        raise kind(f"{what}: {error!r}") from error


async def _close_quietly(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(PUBLISH_SECONDS):
            with library_errors(Unanswered, "the connection broke while it was closed"):
                await connection.close()
    except (Unanswered, TimeoutError):
        return
