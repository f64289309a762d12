"""SMTP against a real server: encryption, refusals in every step, and what the mail looks like."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.channels.provider import Deferred
from adapters.channels.smtp import Smtp
from adapters.contracts.channels import a_delivery
from domain.channels import Rejected, Sent, Unavailable
from tests.support.vendors.mail_server import FULL, PASSWORD, USER, MailServer, mail_server

MOMENT = datetime(2026, 11, 25, 20, 30, tzinfo=UTC)


def smtp(server: MailServer, **changes: Any) -> Smtp:
    given = {"from_address": "Ü & Co <noreply@example.com>", "now": lambda: MOMENT, "security": "none"} | changes
    return Smtp("127.0.0.1", server.port, **given)


async def test_a_mail_has_both_forms_and_says_that_a_machine_wrote_it() -> None:
    async with mail_server() as server:
        assert isinstance(await smtp(server).send(a_delivery()), Sent)
    (mail,) = server.mails
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().rstrip().endswith("View: https://app.example.com/transcripts/42")
    assert str(mail["From"]) == "Ü & Co <noreply@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == MOMENT
    assert server.taken[0].extra == {"from": "noreply@example.com"}


async def test_a_mail_without_html_is_plain() -> None:
    async with mail_server() as server:
        await smtp(server).send(a_delivery(html=None))
    assert server.mails[0].get_content_type() == "text/plain"


async def test_an_international_address_is_sent_as_it_is() -> None:
    async with mail_server() as server:
        assert isinstance(await smtp(server).send(a_delivery(address="jürgen@beispiel.example")), Sent)
    assert server.taken[0].to == "jürgen@beispiel.example"


async def test_a_server_that_takes_ascii_only_gets_no_other_address() -> None:
    async with mail_server(utf8=False) as server:
        refused = await smtp(server).send(a_delivery(address="jürgen@beispiel.example"))
        assert isinstance(await smtp(server).send(a_delivery(address="kim@straße.example")), Sent)
    assert isinstance(refused, Rejected)
    assert "SMTPUTF8" in refused.reason
    assert [each.to for each in server.taken] == ["kim@xn--strae-oqa.example"]


@pytest.mark.parametrize("tls", [False, True])
async def test_the_mail_is_encrypted(tls: bool) -> None:
    async with mail_server(starttls=not tls, tls=tls) as server:
        provider = smtp(server, security="tls" if tls else "starttls", tls=server.trust)
        assert isinstance(await provider.send(a_delivery()), Sent)
    assert server.encrypted == [True]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")  # which is what is tested
async def test_a_server_without_starttls_gets_neither_mail_nor_password() -> None:
    async with mail_server(auth=True) as server:
        provider = smtp(server, security="starttls", username=USER, password=PASSWORD, tls=server.trust)
        outcome = await provider.send(a_delivery())
    assert isinstance(outcome, Unavailable)
    assert "STARTTLS" in outcome.reason
    assert not server.taken


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async with mail_server(starttls=True) as server:
        outcome = await smtp(server, security="starttls", tls=ssl.create_default_context()).send(a_delivery())
    assert isinstance(outcome, Unavailable)
    assert "certificate" in outcome.reason.lower()
    assert not server.taken


async def test_greylisting_is_put_off_and_the_next_attempt_arrives() -> None:
    async with mail_server() as server:
        provider, delivery = smtp(server), a_delivery()
        server.greylisted.add(delivery.address)
        outcome = await provider.send(delivery)
        assert isinstance(outcome, Deferred)
        assert "450" in outcome.reason
        assert isinstance(await provider.send(delivery._replace(attempt=2)), Sent)


async def test_a_full_mailbox_is_the_recipients_trouble() -> None:
    async with mail_server() as server:
        assert isinstance(await smtp(server).send(a_delivery(address=FULL)), Deferred)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("554 5.7.1 spam", Rejected),
        ("552 5.3.4 too big", Rejected),
        ("451 4.3.0 disk full", Unavailable),
        ("421 4.3.2 going down", Unavailable),
    ],
)
async def test_what_is_said_after_the_mail_counts(reply: str, kind: type) -> None:
    async with mail_server() as server:
        server.data_reply = reply
        outcome = await smtp(server).send(a_delivery())
    assert isinstance(outcome, kind)
    assert reply[:3] in outcome.reason


async def test_nobody_listening_is_unavailable() -> None:
    async with mail_server() as server:
        provider = smtp(server)
    assert isinstance(await provider.send(a_delivery()), Unavailable)
    assert await provider.check()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "no-at-sign",
        "a@b.example, c@d.example",
        "Eve <eve@example.com>",
        "eve@example.com\r\nRCPT TO:<mallory@example.com>",
        "eve@example.com>\r\nDATA",
        '"eve"@example.com',
        "eve @example.com",
        "eve@exam\x00ple.com",
    ],
)
async def test_an_address_that_is_not_exactly_one_goes_nowhere(address: str) -> None:
    async with mail_server() as server:
        assert isinstance(await smtp(server).send(a_delivery(address=address)), Rejected)
        assert not server.seen.is_set()
