"""The same contract on the vendors themselves, for each whose key is in the environment. Messages are really sent.

Each wants these variables, all with `MILLRACE_TEST_` before them. The first one has the vendor tested.

- SENDGRID_API_KEY, FROM (a verified sender), TO (a mailbox of yours)
- MAILGUN_API_KEY, MAILGUN_DOMAIN, FROM, TO
- SES_ACCESS_KEY_ID, SES_SECRET_ACCESS_KEY, SES_REGION, FROM, TO
- FIREBASE_CREDENTIALS (the path of a service account's file), FIREBASE_TOKEN (of a device)
- ONESIGNAL_API_KEY, ONESIGNAL_APP_ID, ONESIGNAL_SUBSCRIPTION
- TWILIO_AUTH_TOKEN, TWILIO_ACCOUNT_SID, TWILIO_FROM, TWILIO_TO
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters.channels.firebase import Firebase
from adapters.channels.google_token import ServiceAccount
from adapters.channels.mailgun import Mailgun
from adapters.channels.onesignal import OneSignal
from adapters.channels.provider import Provider
from adapters.channels.sendgrid import SendGrid
from adapters.channels.ses import Ses
from adapters.channels.sigv4 import AwsCredentials
from adapters.channels.twilio import Twilio
from adapters.contracts.channels import a_delivery
from domain.channels import Rejected, Sent, Unavailable


def of(name: str) -> str:
    return os.environ[f"MILLRACE_TEST_{name}"]


def now() -> datetime:
    return datetime.now(UTC)


class Real(NamedTuple):
    """A vendor. `key` is the variable that has it tested; `make` takes the credential."""

    key: str
    make: Callable[[str], Provider]
    address: str
    bad_address: str


def firebase(path: str) -> Firebase:
    account = ServiceAccount.read(Path(of("FIREBASE_CREDENTIALS")))
    return Firebase(account if path == of("FIREBASE_CREDENTIALS") else account._replace(client_email="x@example.com"))


REAL = [
    Real("SENDGRID_API_KEY", lambda key: SendGrid(key, of("FROM")), "TO", "nobody@invalid"),
    Real(
        "MAILGUN_API_KEY", lambda key: Mailgun(key, of("MAILGUN_DOMAIN"), of("FROM")), "TO", "nobody@invalid"
    ),
    Real(
        "SES_ACCESS_KEY_ID",
        lambda key: Ses(AwsCredentials(key, of("SES_SECRET_ACCESS_KEY")), of("SES_REGION"), of("FROM"), now=now),
        "TO",
        "no address",
    ),
    Real("FIREBASE_CREDENTIALS", firebase, "FIREBASE_TOKEN", "no-such-device"),
    Real(
        "ONESIGNAL_API_KEY",
        lambda key: OneSignal(of("ONESIGNAL_APP_ID"), key),
        "ONESIGNAL_SUBSCRIPTION",
        str(uuid.UUID(int=1)),
    ),
    Real(
        "TWILIO_AUTH_TOKEN",
        lambda key: Twilio(of("TWILIO_ACCOUNT_SID"), key, of("TWILIO_FROM")),
        "TWILIO_TO",
        "+15005550001",
    ),
]  # fmt: skip
CONFIGURED = [pytest.param(each, id=each.key) for each in REAL if f"MILLRACE_TEST_{each.key}" in os.environ]


@pytest.mark.parametrize("real", CONFIGURED)
async def test_a_delivery_is_taken_and_so_is_its_repeat(real: Real) -> None:
    provider = real.make(of(real.key))
    assert await provider.check() is None
    delivery = a_delivery(delivery_id=uuid.uuid4().hex, address=of(real.address))
    assert isinstance(await provider.send(delivery), Sent)
    assert isinstance(await provider.send(delivery._replace(attempt=2)), Sent)
    await provider.close()


@pytest.mark.parametrize("real", CONFIGURED)
async def test_what_can_never_arrive_is_rejected(real: Real) -> None:
    provider = real.make(of(real.key))
    assert isinstance(await provider.send(a_delivery(address=real.bad_address)), Rejected)
    await provider.close()


@pytest.mark.parametrize("real", CONFIGURED)
async def test_wrong_credentials_are_unavailable_and_not_shown(real: Real) -> None:
    provider = real.make("wrong-secret-9876543210")
    outcome = await provider.send(a_delivery(address=of(real.address)))
    assert isinstance(outcome, Unavailable)
    assert "wrong-secret" not in repr(outcome)
    await provider.close()
