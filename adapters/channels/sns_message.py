"""Amazon SNS's calls: what they say, and whether SNS has signed them.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.channels.callback import BadSignature, CallbackUnavailable, UnreadableCallback
from adapters.channels.public_fetch import FetchFailed

TOPIC = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{1,32}):[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
CERTIFICATE = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem")
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
# The text that is signed follows from the names as SNS writes them.
ALIASES = {
    "Type": "type", "MessageId": "id", "TopicArn": "topic", "Message": "message", "Timestamp": "timestamp",
    "Subject": "subject", "Token": "token", "SubscribeURL": "subscribe_url",
}  # fmt: skip
MOST_CERTIFICATES = 8
MOST_FETCHES = 4
Fetch = Callable[[str], Awaitable[bytes]]


class SnsMessage(BaseModel):
    """One call's body.

    Attributes:
        message: what the topic was told.
        certificate_url: where the certificate is that the signature belongs to.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"] = Field(alias="Type")
    id: str = Field(alias="MessageId")
    topic: str = Field(alias="TopicArn")
    message: str = Field(alias="Message")
    timestamp: str = Field(alias="Timestamp")
    signature_version: str = Field(alias="SignatureVersion")
    signature: str = Field(alias="Signature")
    certificate_url: str = Field(alias="SigningCertURL")
    subject: str | None = Field(default=None, alias="Subject")
    token: str | None = Field(default=None, alias="Token")
    subscribe_url: str | None = Field(default=None, alias="SubscribeURL")


def message_of(provider: str, body: bytes) -> SnsMessage:
    """The call's body.

    Raises:
        UnreadableCallback: it is none of SNS.
    """
    try:
        return SnsMessage.model_validate_json(body)
    except ValidationError as error:
        where = error.errors()[0]["loc"]
        what = f"`{where[0]}` is missing or of another form" if where else "the body is no JSON object"
        reason = f"{what}; it has to be a message of Amazon SNS, with raw message delivery turned off"
        raise UnreadableCallback(provider, reason) from None


def signed_text(message: SnsMessage) -> bytes:
    """What SNS signs."""
    values = ((name, getattr(message, ALIASES[name])) for name in SIGNED[message.type])
    return "".join(f"{name}\n{value}\n" for name, value in values if value is not None).encode()


def endpoint_of(topic: str) -> str:
    """Where SNS answers for a topic, such as `https://sns.eu-central-1.amazonaws.com`.

    Raises:
        ValueError: the text is no ARN of a topic.
    """
    found = TOPIC.fullmatch(topic)
    if found is None:
        raise ValueError("is no ARN of a topic of Amazon SNS, such as arn:aws:sns:eu-central-1:123456789012:mail")
    return f"https://sns.{found[2]}.amazonaws.com{'.cn' if found[1] == 'aws-cn' else ''}"


class SnsVerifier:
    """Verifies messages by certificates that SNS's own host of the topic's region has, of which it keeps the newest.

    Args:
        provider: whom errors name.
        fetch: reads a URL; raises `FetchFailed`.
        now: the time, in which a certificate must be valid.
        endpoint: where SNS answers for a topic.
    """

    def __init__(
        self,
        provider: str,
        fetch: Fetch,
        now: Callable[[], datetime],
        endpoint: Callable[[str], str] = endpoint_of,
    ) -> None:
        self._provider, self._fetch, self._now, self._endpoint = provider, fetch, now, endpoint
        self._known: dict[str, x509.Certificate] = {}
        self._fetching = 0

    async def verify(self, message: SnsMessage) -> None:
        """Return where SNS has signed the message.

        Raises:
            BadSignature: it has not.
            CallbackUnavailable: the certificate cannot be had.
        """
        algorithm = {"1": SHA1, "2": SHA256}.get(message.signature_version)
        if algorithm is None:
            raise self._refused("its SignatureVersion is neither 1 nor 2")
        endpoint = self._endpoint(message.topic)
        url = message.certificate_url
        if not url.startswith(endpoint) or not CERTIFICATE.fullmatch(url.removeprefix(endpoint)):
            raise self._refused("its SigningCertURL is none of SNS in the region of the topic")
        key = (await self._certificate(url)).public_key()
        if not isinstance(key, RSAPublicKey):
            raise self._refused("its certificate has no RSA key")
        try:
            signature = base64.b64decode(message.signature, validate=True)
            key.verify(signature, signed_text(message), PKCS1v15(), algorithm())
        except (ValueError, InvalidSignature):
            raise self._refused("the signature does not fit the message and the certificate") from None

    async def confirm(self, message: SnsMessage) -> None:
        """Tells SNS that the subscription of a message that was verified is wanted.

        Raises:
            BadSignature: what it wants to have called is no confirmation of its own topic.
            CallbackUnavailable: SNS cannot be told now.
        """
        url, endpoint = message.subscribe_url or "", self._endpoint(message.topic)
        query: Mapping[str, list[str]] = {}
        if url.startswith(f"{endpoint}/?") and url.isascii() and url.isprintable() and " " not in url:
            query = parse_qs(urlsplit(url).query)
        if query.get("Action") != ["ConfirmSubscription"] or query.get("TopicArn") != [message.topic]:
            raise self._refused("its SubscribeURL confirms no subscription of its topic")
        await self._fetched(url, "the subscription cannot be confirmed")

    async def _certificate(self, url: str) -> x509.Certificate:
        known = self._known.get(url)
        if known is None or not self._valid(known):
            pem = await self._fetched(url, "the certificate cannot be had")
            try:
                known = x509.load_pem_x509_certificate(pem)
            except ValueError:
                raise self._refused("its SigningCertURL leads to no certificate") from None
            if not self._valid(known):
                raise self._refused("its certificate is not valid at this time")
            self._known[url] = known
            while len(self._known) > MOST_CERTIFICATES:
                del self._known[next(iter(self._known))]
        return known

    def _valid(self, certificate: x509.Certificate) -> bool:
        return certificate.not_valid_before_utc <= self._now() <= certificate.not_valid_after_utc

    async def _fetched(self, url: str, wrong: str) -> bytes:
        # Who is nobody yet must not make us call as often as he likes.
        if self._fetching >= MOST_FETCHES:
            raise CallbackUnavailable(self._provider, f"{wrong}: too many calls wait for SNS")
        self._fetching += 1
        try:
            return await self._fetch(url)
        except FetchFailed as error:
            raise CallbackUnavailable(self._provider, f"{wrong}: {error.reason}") from None
        finally:
            self._fetching -= 1

    def _refused(self, reason: str) -> BadSignature:
        return BadSignature(self._provider, reason)
