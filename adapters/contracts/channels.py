"""What every provider of a notification channel keeps to. A test class takes the suites that fit and has a `rig`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from adapters.channels.provider import Deferred, Provider
from domain.channels import Delivery, Rejected, Sent, Unavailable

Mode = Literal["works", "temporary", "overloaded", "silent", "breaks", "endless"]
RETRY_AFTER = 7  # seconds that an overloaded server asks for
DEADLINE = 30.0  # seconds; only a provider that hangs gets near it
SHORT = 0.2  # the provider's own time limit where the test waits for it


@dataclass(slots=True)
class Taken:
    """What a recipient would have got. `id` is what names the delivery there."""

    id: str
    to: str
    text: str
    told: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Rig:
    """A provider and the server behind it.

    Attributes:
        make: a provider; takes `timeout` in seconds and `secret`.
        taken: what has reached recipients so far.
        mode: has the server work or fail from now on.
        seen: a request has reached the server.
        secret: the credential; "" where there is none.
        address, bad_address: one that works, and one that will never work.
        once: whether a repeated delivery reaches the recipient only once.
        named: whether the recipient's side sees the stable name of a delivery.
        tells_wait: whether it can say when to try again.
    """

    name: str
    make: Callable[..., Provider]
    taken: Callable[[], list[Taken]]
    address: str
    bad_address: str
    mode: Callable[[Mode], None] = lambda mode: None
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    secret: str = ""
    wrong_secret: str = "wrong-secret-9876543210"
    once: bool = False
    named: bool = True
    tells_wait: bool = True

    def delivery(self, **changes: Any) -> Delivery:
        return a_delivery(address=self.address)._replace(**changes)


def a_delivery(**changes: Any) -> Delivery:
    """A delivery with everything in it."""
    return Delivery(
        tenant="acme",
        notification_id="n-1",
        delivery_id="n-1-email-0",
        user_id="user-1",
        channel="email",
        address="somebody@example.com",
        locale="en-GB",
        type="success",
        title="Transcript ready — naïve ☕",
        message="Your transcript 42 is ready.",
        html="<p>Your transcript <b>42</b> is ready.</p>",
        action_url="https://app.example.com/transcripts/42",
        action_label="View",
        category="transcription",
        metadata={"file_id": "42"},
        attempt=1,
    )._replace(**changes)


@pytest.fixture(autouse=True)
def every_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def logged_by_us(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged here, but for what the servers of the tests, in the same process, say of their own work."""
    servers = ("mail.", "uvicorn", "asyncio")
    return "\n".join(each.getMessage() for each in caplog.records if not each.name.startswith(servers))


class ChannelSuite:
    """For every provider."""

    async def test_a_delivery_reaches_its_recipient_once(self, rig: Rig) -> None:
        provider = rig.make()
        outcome = await provider.send(rig.delivery())
        assert isinstance(outcome, Sent), outcome
        assert outcome.provider == provider.name == rig.name
        (taken,) = rig.taken()
        assert taken.to in (rig.address, "user-1", rig.address.removeprefix("+"))
        assert "Transcript ready — naïve ☕" in taken.text
        assert "Your transcript 42 is ready." in taken.text
        assert outcome.provider_message_id == taken.told
        await provider.close()

    async def test_a_repeat_is_known_by_its_name(self, rig: Rig) -> None:
        provider = rig.make()
        first = await provider.send(rig.delivery())
        again = await provider.send(rig.delivery(attempt=2))
        assert isinstance(first, Sent)
        assert isinstance(again, Sent)
        taken = rig.taken()
        assert len(taken) == (1 if rig.once else 2)
        if rig.named:
            assert len({each.id for each in taken}) == 1
        await provider.close()

    async def test_every_delivery_of_every_tenant_has_a_name_of_its_own(self, rig: Rig) -> None:
        provider = rig.make()
        for changes in ({}, {"delivery_id": "n-1-email-1"}, {"tenant": "globex"}):
            assert isinstance(await provider.send(rig.delivery(**changes)), Sent)
        assert len(rig.taken()) == 3
        if rig.named and rig.name != "webhook":
            assert len({each.id for each in rig.taken()}) == 3
        await provider.close()

    async def test_what_can_never_arrive_is_rejected(self, rig: Rig) -> None:
        provider = rig.make()
        outcome = await provider.send(rig.delivery(address=rig.bad_address))
        assert isinstance(outcome, Rejected), outcome
        assert outcome.provider == rig.name
        assert outcome.reason
        assert not rig.taken()
        await provider.close()

    async def test_nothing_in_the_text_can_add_a_recipient(self, rig: Rig) -> None:
        provider = rig.make()
        hostile = "Hello\r\nBcc: evil@example.com\r\n\r\n.\r\nRCPT TO:<evil@example.com>\x00"
        outcome = await provider.send(rig.delivery(title=hostile, message=f"{hostile}\n.\n", html=None))
        assert isinstance(outcome, Sent), outcome
        (taken,) = rig.taken()
        assert "evil" not in taken.to
        assert "bcc" not in {name.lower() for name in taken.extra}
        await provider.close()

    async def test_a_working_provider_passes_its_check(self, rig: Rig) -> None:
        provider = rig.make()
        assert await provider.check() is None
        assert not rig.taken()
        await provider.close()


class NetworkSuite(ChannelSuite):
    """For every provider behind a network."""

    async def test_trouble_over_there_is_unavailable_and_passes(self, rig: Rig) -> None:
        provider = rig.make()
        rig.mode("temporary")
        outcome = await provider.send(rig.delivery())
        assert isinstance(outcome, Unavailable), outcome
        assert outcome.provider == rig.name
        assert not rig.taken()
        rig.mode("works")
        assert isinstance(await provider.send(rig.delivery(attempt=2)), Sent)
        await provider.close()

    async def test_an_overloaded_server_says_when_to_come_back(self, rig: Rig) -> None:
        provider = rig.make()
        rig.mode("overloaded")
        outcome = await provider.send(rig.delivery())
        assert isinstance(outcome, Unavailable), outcome
        assert outcome.retry_after == (RETRY_AFTER if rig.tells_wait else None)
        await provider.close()

    async def test_a_connection_that_breaks_is_unavailable(self, rig: Rig) -> None:
        provider = rig.make()
        rig.mode("breaks")
        outcome = await provider.send(rig.delivery())
        assert isinstance(outcome, Unavailable), outcome
        await provider.close()

    async def test_silence_ends_at_the_time_limit(self, rig: Rig) -> None:
        provider = rig.make(timeout=SHORT)
        rig.mode("silent")
        async with asyncio.timeout(DEADLINE):
            outcome = await provider.send(rig.delivery())
        assert isinstance(outcome, Unavailable), outcome
        assert not rig.taken()
        await provider.close()

    async def test_a_cancelled_delivery_leaves_the_provider_usable(self, rig: Rig) -> None:
        provider = rig.make()
        rig.mode("silent")
        rig.seen.clear()
        sending = asyncio.create_task(provider.send(rig.delivery()))
        async with asyncio.timeout(DEADLINE):
            await rig.seen.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        rig.mode("works")
        assert isinstance(await provider.send(rig.delivery(attempt=2)), Sent)
        await provider.close()

    async def test_no_secret_and_no_text_is_logged(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        provider = rig.make()
        for mode in ("works", "temporary", "overloaded"):
            rig.mode(mode)
            await provider.send(rig.delivery())
        logged = logged_by_us(caplog)
        assert not rig.secret or rig.secret not in logged
        assert "Your transcript 42" not in logged
        await provider.close()


class HttpSuite(NetworkSuite):
    """For every provider that speaks HTTP through our own client."""

    async def test_an_answer_without_end_is_cut(self, rig: Rig) -> None:
        provider = rig.make()
        rig.mode("endless")
        async with asyncio.timeout(DEADLINE):
            outcome = await provider.send(rig.delivery())
        assert isinstance(outcome, Sent | Rejected | Unavailable)
        await provider.close()


class CredentialSuite:
    """For every provider that signs in."""

    async def test_refused_credentials_are_unavailable_and_not_shown(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        provider = rig.make(secret=rig.wrong_secret)
        outcome = await provider.send(rig.delivery())
        assert isinstance(outcome, Unavailable), outcome
        assert not isinstance(outcome, Deferred)
        problem = await provider.check()
        assert problem
        for text in (repr(outcome), problem, logged_by_us(caplog)):
            assert rig.wrong_secret not in text
        await provider.close()
