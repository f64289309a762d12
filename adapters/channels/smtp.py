"""Mail through an SMTP server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

import aiosmtplib

from adapters.channels.mail import BadAddress, compose, message_id, recipient, sender
from adapters.channels.provider import Deferred, reason_of
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

Security = Literal["starttls", "tls", "none"]
BYE_SECONDS = 1.0
SHUTTING_DOWN = 421


class Smtp:
    """Hands each mail to one server over a connection of its own.

    Args:
        security: `starttls` (required, not merely tried), `tls` from the first byte, or `none`.
        username, password: None where the server lets us in without.
        from_address: `Name <address>` or an address; also the envelope's sender.
        timeout: seconds for one mail altogether.
        now: the time for the Date header.
        tls: what certificates to trust; default: the system's.
        local_name: what we call ourselves in EHLO.
    """

    name = "smtp"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        from_address: str,
        now: Callable[[], datetime],
        security: Security = "starttls",
        username: str | None = None,
        password: str | None = None,
        timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
        local_name: str = "localhost",
    ) -> None:
        self._host, self._port, self._security = host, port, security
        self._username, self._password = username, password
        self._from, self._now, self._timeout, self._tls = from_address, now, timeout, tls
        self._local_name = local_name
        self._secrets = (password,) if password else ()

    async def send(self, delivery: Delivery) -> Outcome:
        try:
            mail, to = compose(delivery, self._from, self._now()), recipient(delivery.address, utf8=True)
            envelope_from = sender(self._from)[1]
        except BadAddress as error:
            return Rejected(self.name, str(error))

        async def hand_over(client: aiosmtplib.SMTP) -> None:
            await client.send_message(mail, sender=envelope_from, recipients=[to])

        return await self._attempt(hand_over) or Sent(self.name, message_id(delivery, self._from))

    async def check(self) -> str | None:
        """Connects and signs in."""

        async def nothing(client: aiosmtplib.SMTP) -> None:
            await client.noop()

        failure = await self._attempt(nothing)
        return failure.reason if failure else None

    async def close(self) -> None:
        """Nothing is kept open between mails."""

    async def _attempt(self, work: Callable[[aiosmtplib.SMTP], Awaitable[None]]) -> Rejected | Unavailable | None:
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            local_hostname=self._local_name,
            timeout=self._timeout,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=None if self._security == "none" else self._tls,
        )
        try:
            async with asyncio.timeout(self._timeout):
                await client.connect()
                await work(client)
        except TimeoutError:
            reason = f"{self._host} did not finish within {self._timeout:g} s; whether it has the mail is unknown"
            return Unavailable(self.name, reason)
        except (aiosmtplib.SMTPException, OSError) as error:
            return self._failure(error)
        else:
            await _say_goodbye(client)
        finally:
            client.close()
        return None

    def _failure(self, error: Exception) -> Rejected | Unavailable:
        match error:
            case aiosmtplib.SMTPAuthenticationError(code=code, message=message):
                return Unavailable(self.name, self._reason(f"the credentials were refused ({code}): {message}"))
            case aiosmtplib.SMTPRecipientsRefused(recipients=[aiosmtplib.SMTPRecipientRefused() as refused, *_]):
                return self._answered(refused.code, refused.message, Deferred)
            case aiosmtplib.SMTPConnectResponseError(code=code, message=message):
                return Unavailable(self.name, self._reason(f"{self._host} lets nobody in ({code}): {message}"))
            case aiosmtplib.SMTPHeloError(code=code, message=message):
                return Unavailable(self.name, self._reason(f"{self._host} refused the greeting ({code}): {message}"))
            case aiosmtplib.SMTPResponseException(code=code, message=message):
                return self._answered(code, message, Unavailable)
            case aiosmtplib.SMTPNotSupported():
                return Rejected(self.name, self._reason(f"{self._host} cannot carry this mail: {error}"))
            case _:
                return Unavailable(self.name, self._reason(f"{self._host}: {str(error) or type(error).__name__}"))

    def _answered(self, code: int, message: str, temporary: type[Unavailable]) -> Rejected | Unavailable:
        reason = self._reason(f"{code}: {message}")
        if code >= 500:
            return Rejected(self.name, reason)
        return Unavailable(self.name, reason) if code == SHUTTING_DOWN else temporary(self.name, reason)

    def _reason(self, text: str) -> str:
        return reason_of(text, self._secrets)


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    """What happens here changes nothing: the server has the mail."""
    try:
        await client.quit(timeout=BYE_SECONDS)
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        return
