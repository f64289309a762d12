"""Webhooks: signatures that the reference library verifies, and no way to a network that is not public."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from adapters.channels.provider import Deferred
from adapters.channels.public_address import is_public
from adapters.channels.webhook import BadWebhookSecret, WebhookChannel, signature_headers, signer
from adapters.contracts.channels import a_delivery
from domain.channels import NotConfigured, Rejected, Sent
from tests.support.vendors.receiver import SECRET, Receiver
from tests.support.vendors.vendor import Vendor, serving

UNUSED = ssl.create_default_context()  # shared by channels that never get as far as a connection
LOOPBACK = [ip_network("127.0.0.0/8")]
OLD = "whsec_" + base64.b64encode(b"the old secret, of 32 bytes .....").decode()
PRIVATE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1", "fd00:ec2::254", "fd20:ce::254",
    "fe80::1", "fe80::1%1", "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.215.14", "172.32.0.1", "192.167.255.255", "2606:4700::1111", "::ffff:1.1.1.1"]


def port_of(vendor: Vendor) -> int:
    return int(vendor.url.rpartition(":")[2])


def channel(vendor: Vendor, **changes: Any) -> WebhookChannel:
    given = {"default_secrets": [SECRET], "ports": [port_of(vendor)], "allowed": LOOPBACK, "timeout": 20.0} | changes
    return WebhookChannel(now=lambda: datetime.now(UTC), **given)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_outside_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "127.0.0.1.", "１２７.0.0.1",
    ],
)  # fmt: skip
async def test_no_spelling_of_loopback_is_called(host: str) -> None:
    async with serving(Receiver()) as server:
        sending = channel(server, allowed=())
        outcome = await sending.send(a_delivery(address=f"http://{host}:{port_of(server)}/any"))
        assert isinstance(outcome, Rejected | Deferred), outcome
        assert not server.requests
        assert "127.0.0.1" not in outcome.reason
        await sending.close()


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1", "10.0.0.1"]

    async with serving(Receiver()) as server:
        sending = channel(server, resolve=both)
        outcome = await sending.send(a_delivery(address=f"http://hooks.example.com:{port_of(server)}/any"))
        assert isinstance(outcome, Rejected)
        assert not server.requests
        await sending.close()


async def test_a_name_server_that_changes_its_mind_is_asked_once_and_the_checked_address_is_called() -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with serving(Receiver()) as server:
        sending = channel(server, resolve=rebinding)
        address = f"http://hooks.example.com:{port_of(server)}/any"
        assert isinstance(await sending.send(a_delivery(address=address)), Sent)
        assert asked == ["hooks.example.com"]
        assert server.requests[0].headers["Host"] == f"hooks.example.com:{port_of(server)}"
        # A new connection means a new look, and the new address is refused.
        await sending.close()
        again = channel(server, resolve=rebinding)
        assert isinstance(await again.send(a_delivery(address=address)), Rejected)
        assert len(server.requests) == 1
        await again.close()


async def test_tls_verifies_the_name_although_the_connection_goes_to_an_address() -> None:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example.com").configure_cert(theirs)
    authority.configure_trust(ours)
    names: list[str | None] = []
    theirs.sni_callback = lambda _, name, __: names.append(name)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
    port = server.sockets[0].getsockname()[1]
    sending = WebhookChannel(
        now=lambda: datetime.now(UTC), default_secrets=[SECRET], ports=[port], allowed=LOOPBACK, tls=ours, resolve=here
    )
    try:
        right = await sending.send(a_delivery(address=f"https://hooks.example.com:{port}/"))
        wrong = await sending.send(a_delivery(address=f"https://other.example.com:{port}/"))
    finally:
        await sending.close()
        server.close()
        await server.wait_closed()
    assert isinstance(right, Sent), right
    assert isinstance(wrong, Deferred)
    assert names == ["hooks.example.com", "other.example.com"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://example.com/", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("gopher://example.com/", "must begin with"),
        ("//example.com/", "must begin with"),
        ("https://", "host"),
        ("https://user:pass@example.com/", "user name"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:99999/", "port 99999"),
        ("https://example.com/" + "a" * 3_000, "longer"),
        ("https://exa mple.com/", "no URL"),
        ("https://xn--/", "no URL"),
        ("https://example.com/\r\nX-Evil: 1", "no URL"),
    ],
)
async def test_a_url_that_webhooks_do_not_go_to_says_why(address: str, said: str) -> None:
    sending = WebhookChannel(now=lambda: datetime.now(UTC), default_secrets=[SECRET])
    outcome = await sending.send(a_delivery(address=address))
    assert isinstance(outcome, Rejected), outcome
    assert said in outcome.reason
    await sending.close()


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.builds("http://{}".format, st.text(max_size=80)),
        st.builds("https://{}.example.com/{}".format, st.text(max_size=70), st.text(max_size=20)),
    )
)
async def test_whatever_the_address_is_it_ends_with_an_outcome(address: str) -> None:
    async def inside(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    sending = WebhookChannel(now=lambda: datetime.now(UTC), default_secrets=[SECRET], tls=UNUSED, resolve=inside)
    assert isinstance(await sending.send(a_delivery(address=address)), Rejected | Deferred)
    await sending.close()


async def test_redirects_are_not_followed() -> None:
    async with serving(Receiver()) as server:
        sending = channel(server)
        outcome = await sending.send(a_delivery(address=f"{server.url}/moved"))
        assert isinstance(outcome, Deferred)
        assert "redirects are not followed" in outcome.reason
        assert [request.url.path for request in server.requests] == ["/moved"]
        await sending.close()


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        async with serving(Receiver()) as server:
            sending = channel(server)
            assert isinstance(await sending.send(a_delivery(address=f"{server.url}/any")), Sent)
            await sending.close()


async def test_a_large_body_is_refused_before_anything_is_called() -> None:
    async with serving(Receiver()) as server:
        sending = channel(server)
        outcome = await sending.send(a_delivery(address=f"{server.url}/any", message="x" * 300_000))
        assert isinstance(outcome, Rejected)
        assert not server.requests
        await sending.close()


async def test_while_a_secret_is_changed_both_receivers_are_content() -> None:
    async with serving(Receiver()) as server:
        sending = channel(server, default_secrets=[SECRET, OLD])
        address = f"{server.url}/any"
        for secret in (SECRET, OLD):
            server.secret = secret
            assert isinstance(await sending.send(a_delivery(address=address)), Sent)
        await sending.close()
        only_new = channel(server, default_secrets=[SECRET])
        assert isinstance(await only_new.send(a_delivery(address=address)), Deferred)
        await only_new.close()


async def test_a_tenant_has_its_own_secret_and_nobody_elses() -> None:
    async with serving(Receiver()) as server:
        sending = channel(server, default_secrets=[SECRET], secrets={"acme": [OLD]})
        server.secret = OLD
        assert isinstance(await sending.send(a_delivery(address=f"{server.url}/any")), Sent)
        assert isinstance(await sending.send(a_delivery(address=f"{server.url}/any", tenant="globex")), Deferred)
        await sending.close()


async def test_nothing_is_sent_unsigned() -> None:
    sending = WebhookChannel(now=lambda: datetime.now(UTC))
    outcome = await sending.send(a_delivery(address="https://example.com/"))
    assert isinstance(outcome, NotConfigured)
    assert await sending.check()
    await sending.close()


def test_the_vector_of_the_specification() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = signature_headers(
        [signer(secret)], "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1_614_265_330, UTC), body
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("change", ["webhook-id", "body", "old"])
def test_what_was_altered_or_replayed_does_not_verify(change: str) -> None:
    moment = datetime.now(UTC) - (timedelta(minutes=6) if change == "old" else timedelta())
    body = b'{"type":"notification"}'
    headers = signature_headers([signer(SECRET)], "d-1", moment, body)
    if change == "webhook-id":
        headers["webhook-id"] = "d-2"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" " if change == "body" else body, headers)


def test_no_full_stop_in_the_id() -> None:
    assert signature_headers([signer(SECRET)], "a.b", datetime.now(UTC), b"{}")["webhook-id"] == "a_b"


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_c2hvcnQ=", "plain", "whsec_%%%", SECRET.removeprefix("whsec_")]
)
def test_a_secret_of_the_wrong_form_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(BadWebhookSecret) as error:
        signer(secret)
    assert len(secret) < 8 or secret not in str(error.value)
