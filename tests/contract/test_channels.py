"""The contract of the channels on each provider, against a server that behaves as the vendor's does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_network
from pathlib import Path

import pytest

from adapters.channels.apprise import Apprise
from adapters.channels.firebase import Firebase
from adapters.channels.google_token import ServiceAccount
from adapters.channels.mail_file import MailFile
from adapters.channels.mailgun import Mailgun
from adapters.channels.onesignal import OneSignal
from adapters.channels.provider import Provider
from adapters.channels.sendgrid import SendGrid
from adapters.channels.ses import Ses
from adapters.channels.sigv4 import AwsCredentials
from adapters.channels.smtp import Smtp
from adapters.channels.twilio import Twilio
from adapters.channels.webhook import WebhookChannel
from adapters.contracts.channels import ChannelSuite, CredentialSuite, HttpSuite, NetworkSuite, Rig, a_delivery
from adapters.contracts.channels import every_log_line as every_log_line
from domain.channels import Sent, Unavailable
from tests.support.vendors import mail_server as mail
from tests.support.vendors.mail_vendors import NOBODY, MailgunServer, SendGridServer, SesServer
from tests.support.vendors.push_vendors import (
    FirebaseServer,
    OneSignalServer,
    SmsEagleServer,
    TwilioServer,
    private_key,
)
from tests.support.vendors.receiver import SECRET, Receiver
from tests.support.vendors.vendor import Taken, Vendor, serving

SENDER = "Millrace <noreply@example.com>"
ADDRESS = "somebody@example.com"


def now() -> datetime:
    return datetime.now(UTC)


def rig_of(vendor: Vendor, provider: type[Provider], make: object, address: str, bad: str, **more: object) -> Rig:
    def mode(name: str) -> None:
        vendor.mode = name

    return Rig(provider.name, make, lambda: vendor.taken, address, bad, mode=mode, seen=vendor.seen, **more)


class TestMailFile(ChannelSuite):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        def taken() -> list[Taken]:
            mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in tmp_path.glob("new/*")]
            return [
                Taken(each["Message-ID"], each["To"], shown(each), each["Message-ID"], dict(each)) for each in mails
            ]

        return Rig(
            "file",
            lambda: MailFile(tmp_path, SENDER, now),
            taken,
            ADDRESS,
            "two@example.com, evil@example.com",
            once=True,
        )

    async def test_a_mail_that_was_read_and_moved_is_not_written_again(self, rig: Rig, tmp_path: Path) -> None:
        provider = rig.make()
        await provider.send(rig.delivery())
        (name,) = os.listdir(tmp_path / "new")
        os.rename(tmp_path / "new" / name, tmp_path / "cur" / f"{name}:2,S")
        await provider.send(rig.delivery(attempt=2))
        assert os.listdir(tmp_path / "new") == []
        assert os.listdir(tmp_path / "tmp") == []

    async def test_the_file_has_the_line_ends_of_the_system(self, rig: Rig, tmp_path: Path) -> None:
        await rig.make().send(rig.delivery(message="one\r\ntwo\nthree"))
        (name,) = os.listdir(tmp_path / "new")
        content = await asyncio.to_thread((tmp_path / "new" / name).read_bytes)
        assert b"\r" not in content
        assert b"one\ntwo\nthree" in content

    async def test_a_folder_that_cannot_be_written_is_unavailable(self, rig: Rig, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        provider = MailFile(tmp_path / "file", SENDER, now)
        assert isinstance(await provider.send(rig.delivery()), Unavailable)
        assert "cannot be written" in str(await provider.check())


class TestSmtp(NetworkSuite, CredentialSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with mail.mail_server(starttls=True, auth=True) as server:

            def make(timeout: float = 20.0, secret: str = mail.PASSWORD) -> Smtp:
                return Smtp(
                    "127.0.0.1", server.port, from_address=SENDER, now=now, username=mail.USER, password=secret,
                    timeout=timeout, tls=server.trust,
                )  # fmt: skip

            def mode(name: str) -> None:
                server.mode = name

            yield Rig(
                "smtp", make, lambda: server.taken, ADDRESS, mail.NOBODY, mode=mode, seen=server.seen,
                secret=mail.PASSWORD, tells_wait=False,
            )  # fmt: skip


class TestSendGrid(HttpSuite, CredentialSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with serving(SendGridServer()) as server:

            def make(timeout: float = 20.0, secret: str = SendGridServer.key) -> SendGrid:
                return SendGrid(secret, SENDER, base_url=server.url, timeout=timeout)

            yield rig_of(server, SendGrid, make, ADDRESS, NOBODY, secret=SendGridServer.key)


class TestMailgun(HttpSuite, CredentialSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with serving(MailgunServer()) as server:

            def make(timeout: float = 20.0, secret: str = MailgunServer.key) -> Mailgun:
                return Mailgun(secret, MailgunServer.domain, SENDER, base_url=server.url, timeout=timeout)

            yield rig_of(server, Mailgun, make, ADDRESS, NOBODY, secret=MailgunServer.key)


class TestSes(HttpSuite, CredentialSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with serving(SesServer()) as server:

            def make(timeout: float = 20.0, secret: str = SesServer.secret, sender: str = SENDER) -> Ses:
                credentials = AwsCredentials(SesServer.access_key, secret)
                return Ses(credentials, SesServer.region, sender, now=now, base_url=server.url, timeout=timeout)

            yield rig_of(server, Ses, make, ADDRESS, NOBODY, secret=SesServer.secret)

    async def test_a_paused_account_is_no_fault_of_the_mail(self, rig: Rig) -> None:
        provider = rig.make(sender="paused@example.com")
        outcome = await provider.send(rig.delivery())
        assert isinstance(outcome, Unavailable)
        assert "SendingPausedException" in outcome.reason
        await provider.close()


class TestFirebase(HttpSuite, CredentialSuite):
    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[Rig]:
        server = FirebaseServer()
        async with serving(server):

            def make(timeout: float = 20.0, secret: str | None = None) -> Firebase:
                account = ServiceAccount.read(server.account(tmp_path / "account.json", secret))
                return Firebase(account, base_url=server.url, timeout=timeout)

            yield rig_of(
                server, Firebase, make, "device-1", FirebaseServer.gone, wrong_secret=private_key(of=2),
                secret="BEGIN PRIVATE KEY",
            )  # fmt: skip

    async def test_one_token_serves_many_messages_until_it_is_refused(self, tmp_path: Path) -> None:
        server = FirebaseServer()
        async with serving(server):
            account = ServiceAccount.read(server.account(tmp_path / "account.json"))
            provider = Firebase(account, base_url=server.url)
            delivery = a_delivery(channel="push", address="device-1")
            outcomes = await asyncio.gather(*(provider.send(delivery) for _ in range(5)))
            assert all(isinstance(outcome, Sent) for outcome in outcomes)
            assert len(server.tokens) == 1
            server.tokens[0] = "revoked"
            assert isinstance(await provider.send(delivery), Unavailable)
            assert isinstance(await provider.send(delivery), Sent)
            assert len(server.tokens) == 2
            await provider.close()


class TestOneSignal(HttpSuite, CredentialSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with serving(OneSignalServer()) as server:

            def make(timeout: float = 20.0, secret: str = OneSignalServer.key) -> OneSignal:
                return OneSignal(OneSignalServer.app, secret, base_url=server.url, timeout=timeout)

            address = "3c1f2e4d-0000-4000-8000-000000000002"
            yield rig_of(server, OneSignal, make, address, OneSignalServer.gone, secret=OneSignalServer.key, once=True)


class TestTwilio(HttpSuite, CredentialSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with serving(TwilioServer()) as server:

            def make(timeout: float = 20.0, secret: str = TwilioServer.token) -> Twilio:
                return Twilio(TwilioServer.account, secret, TwilioServer.sender, base_url=server.url, timeout=timeout)

            yield rig_of(
                server, Twilio, make, "+493012345678", TwilioServer.gone, secret=TwilioServer.token, named=False
            )


class TestApprise(NetworkSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with serving(SmsEagleServer()) as server:
            host = server.url.removeprefix("http://")

            def make(timeout: float = 20.0, secret: str = SmsEagleServer.token) -> Apprise:
                return Apprise(f"smseagle://{secret}@{host}/{{address}}", timeout=timeout)

            yield rig_of(
                server, Apprise, make, "+493012345678", "no number", secret=SmsEagleServer.token, named=False,
                tells_wait=False,
            )  # fmt: skip


class TestWebhook(HttpSuite):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with serving(Receiver()) as server:
            port = int(server.url.rpartition(":")[2])

            def make(timeout: float = 20.0, secret: str = SECRET) -> WebhookChannel:
                return WebhookChannel(
                    now=now,
                    default_secrets=[secret],
                    timeout=timeout,
                    ports=[port],
                    allowed=[ip_network("127.0.0.0/8")],
                )

            yield rig_of(server, WebhookChannel, make, f"{server.url}/any", f"{server.url}/gone", secret=SECRET)


def shown(mail: EmailMessage) -> str:
    """Subject and plain text."""
    body = mail.get_body(("plain",))
    assert body is not None
    return f"{mail['Subject']}\n{body.get_content()}"
