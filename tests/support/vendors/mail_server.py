"""A real SMTP server (aiosmtpd) that can refuse, put off, fall silent and hang up in the middle of a mail."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.support.vendors.vendor import Mode, Taken

USER, PASSWORD = "millrace", "stand-in-password-0123456789"
NOBODY, FULL = "nobody@example.com", "full@example.com"


class MailServer:
    """Keeps what it has taken. `mode` is as with the vendors; here `overloaded` means that nobody is let in."""

    def __init__(self) -> None:
        self.mode: Mode = "works"
        self.taken: list[Taken] = []
        self.mails: list[EmailMessage] = []
        self.seen = asyncio.Event()
        self.released = asyncio.Event()
        self.port = 0
        self.greylisted: set[str] = set()
        self.encrypted: list[bool] = []
        self.data_reply = "250 2.0.0 Ok: queued as 4XyZ"
        self.authority = trustme.CA()

    @property
    def trust(self) -> ssl.SSLContext:
        """What a client needs to trust this server."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, lines: list[str]
    ) -> Any:
        session.host_name = hostname
        return ["421 4.3.2 too many connections"] if self.mode == "overloaded" else lines

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        self.seen.set()
        if self.mode == "silent":
            await self.released.wait()
        if self.mode == "temporary":
            return "451 4.3.0 try again later"
        if address == NOBODY:
            return "550 5.1.1 <nobody@example.com>: user unknown"
        if address == FULL:
            return "452 4.2.2 mailbox full"
        if address in self.greylisted:
            self.greylisted.remove(address)
            return "450 4.2.0 greylisted, try again in five minutes"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if not self.data_reply.startswith("250"):
            return self.data_reply
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        plain = mail.get_body(("plain",))
        assert plain is not None
        html = mail.get_body(("html",))
        text = "\n".join([mail["Subject"], plain.get_content(), html.get_content() if html else ""])
        (to,) = envelope.rcpt_tos
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        self.mails.append(mail)
        self.taken.append(Taken(mail["Message-ID"], to, text, mail["Message-ID"], {"from": envelope.mail_from}))
        return self.data_reply

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        if (data.login, data.password) == (USER.encode(), PASSWORD.encode()):
            return AuthResult(success=True)
        message = f"535 5.7.8 {data.password.decode()} is not the password"
        return AuthResult(success=False, handled=False, message=message)


class _Protocol(SMTP):
    """Hangs up after the first line of a mail, where that is wanted."""

    def connection_made(self, transport: Any) -> None:
        # After STARTTLS this is called again, with the transport that encrypts.
        self.transports = [*getattr(self, "transports", []), transport]
        super().connection_made(transport)

    async def hang_up(self) -> None:
        for transport in self.transports:
            transport.abort()
        # The loop closes what was aborted in its next rounds.
        for _ in range(3):
            await asyncio.sleep(0)

    async def smtp_DATA(self, arg: str) -> None:
        if self.event_handler.mode != "breaks":
            await super().smtp_DATA(arg)
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        await self._reader.readline()
        self.transport.abort()


@asynccontextmanager
async def mail_server(
    *, starttls: bool = False, tls: bool = False, auth: bool = False, utf8: bool = True
) -> AsyncIterator[MailServer]:
    """A server on a free port.

    Args:
        utf8: takes addresses in any letters.
        starttls: offered and required.
        tls: from the first byte.
        auth: wanted before any mail.
    """
    handler = MailServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    handler.authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    loop = asyncio.get_running_loop()

    served: list[_Protocol] = []

    def protocol() -> _Protocol:
        each = _Protocol(
            handler,
            hostname="localhost",
            enable_SMTPUTF8=utf8,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            authenticator=handler.authenticate if auth else None,
            auth_required=auth,
            auth_require_tls=starttls,
            timeout=30,
        )
        served.append(each)
        return each

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if tls else None)
    handler.port = server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        handler.released.set()
        server.close()
        await server.wait_closed()
        for each in served:
            await each.hang_up()
