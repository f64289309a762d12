"""Which addresses of Amazon SNS are believed, and how many certificates are kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from adapters.channels.callback import BadSignature, CallbackUnavailable
from adapters.channels.sns_message import (
    MOST_CERTIFICATES,
    MOST_FETCHES,
    SnsMessage,
    SnsVerifier,
    endpoint_of,
    message_of,
)
from infra.channel_callbacks import build_callbacks
from infra.settings import load_settings
from infra.settings_errors import SettingsError
from tests.support.vendors.sns_server import HOST, PATH, SnsServer, certificate


@pytest.fixture(scope="module")
def sns() -> SnsServer:
    server = SnsServer()
    server.endpoint = f"https://{HOST}"
    return server


def signed(sns: SnsServer, **changes: str) -> SnsMessage:
    return message_of("ses", json.dumps(sns.signed(**changes)).encode())


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize(
    ("topic", "endpoint"),
    [
        ("arn:aws:sns:eu-central-1:123456789012:mail", "https://sns.eu-central-1.amazonaws.com"),
        ("arn:aws:sns:us-east-1:123456789012:mail.fifo", "https://sns.us-east-1.amazonaws.com"),
        ("arn:aws-cn:sns:cn-north-1:123456789012:mail", "https://sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:mail", "https://sns.us-gov-west-1.amazonaws.com"),
    ],
)
def test_sns_answers_in_the_region_of_the_topic(topic: str, endpoint: str) -> None:
    assert endpoint_of(topic) == endpoint


@pytest.mark.parametrize(
    "topic", ["", "mail", "arn:aws:sqs:eu-central-1:123456789012:mail", "arn:aws:sns:x.evil.com/:123456789012:mail"]
)
def test_what_is_no_topic_stops_the_start(topic: str) -> None:
    with pytest.raises(ValueError, match="no ARN"):
        endpoint_of(topic)
    if topic:
        modules = {"notifications": {"providers": {"ses": {"topics": [topic]}}}}
        with pytest.raises(SettingsError, match=r"ses\.topics"):
            build_callbacks(load_settings(environ={}, modules=modules))


def test_a_topic_has_its_calls_taken() -> None:
    modules = {"notifications": {"providers": {"ses": {"topics": ["arn:aws:sns:eu-central-1:123456789012:mail"]}}}}
    assert list(build_callbacks(load_settings(environ={}, modules=modules))) == ["ses"]


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}{PATH}",
        f"https://{HOST}:444{PATH}",
        f"https://{HOST}.evil.example.com{PATH}",
        f"https://{HOST}@evil.example.com{PATH}",
        f"https://evil.example.com/{HOST}{PATH}",
        f"https://sns.us-east-1.amazonaws.com{PATH}",
        f"https://bucket.s3.eu-central-1.amazonaws.com{PATH}",
        f"https://{HOST}/../bucket{PATH}",
        f"https://{HOST}{PATH}?x=1",
        f"https://{HOST}{PATH}\n",
        f"HTTPS://{HOST.upper()}{PATH}",
        "",
    ],
)
async def test_certificates_come_from_sns_alone(sns: SnsServer, url: str) -> None:
    asked: list[str] = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return sns.answers[PATH]

    with pytest.raises(BadSignature, match="SigningCertURL"):
        await SnsVerifier("ses", fetch, now).verify(signed(sns, SigningCertURL=url))
    assert asked == []


async def test_few_certificates_are_kept_and_one_whose_time_is_over_is_fetched_anew(sns: SnsServer) -> None:
    asked: list[str] = []
    later = timedelta()

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return certificate(sns.key, timedelta(days=1) + later)

    verifier = SnsVerifier("ses", fetch, lambda: now() + later)
    urls = [f"https://{HOST}{PATH.replace('0123', f'{n:04}')}" for n in range(MOST_CERTIFICATES + 1)]
    for _ in range(2):
        await verifier.verify(signed(sns, SigningCertURL=urls[0]))
    assert asked == urls[:1]
    for url in urls[1:]:
        await verifier.verify(signed(sns, SigningCertURL=url))
    await verifier.verify(signed(sns, SigningCertURL=urls[-1]))
    assert asked == urls
    await verifier.verify(signed(sns, SigningCertURL=urls[0]))
    assert asked == [*urls, urls[0]]
    later = timedelta(days=2)
    await verifier.verify(signed(sns, SigningCertURL=urls[0]))
    assert asked == [*urls, urls[0], urls[0]]


async def test_strangers_cannot_make_it_call_as_often_as_they_like(sns: SnsServer) -> None:
    verifiers: list[SnsVerifier] = []
    refused: list[str] = []

    async def fetch(url: str) -> bytes:
        # Each call brings another one while it waits.
        if len(refused) + len(calls) < MOST_FETCHES + 1:
            calls.append(url)
            try:
                await verifiers[0].verify(signed(sns, SigningCertURL=url.replace("0123", f"{len(calls):04}")))
            except CallbackUnavailable as error:
                refused.append(error.reason)
        return sns.answers[PATH]

    calls: list[str] = []
    verifiers.append(SnsVerifier("ses", fetch, now))
    await verifiers[0].verify(signed(sns))
    assert len(calls) == MOST_FETCHES
    assert ["too many" in reason for reason in refused] == [True]
