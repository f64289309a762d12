"""Amazon SNS, over TLS under its own name: its certificate, subscriptions that are confirmed, calls that it signs."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

HOST = "sns.eu-central-1.amazonaws.com"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:mail"
PATH = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
# https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class SnsServer:
    """Attributes:
    answers: what is at a path, besides the certificate.
    asked: the paths that were asked for.
    """

    def __init__(self, valid: timedelta = timedelta(days=1)) -> None:
        self.key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self.authority = trustme.CA()
        self.trust = ssl.create_default_context()
        self.authority.configure_trust(self.trust)
        self.answers: dict[str, bytes] = {PATH: certificate(self.key, valid)}
        self.status = "200 OK"
        self.asked: list[str] = []
        self.endpoint = ""

    async def here(self, host: str, port: int) -> Sequence[str]:
        """Where the name leads in this test."""
        return ["127.0.0.1"]

    def of(self, topic: str) -> str:
        """Where SNS answers for the topic: under its own name, on this server's port."""
        return self.endpoint

    def signed(self, version: str = "2", **changes: Any) -> dict[str, Any]:
        """A call's body; `changes` are in it when it is signed."""
        body = {
            "Type": "Notification",
            "MessageId": str(uuid.uuid4()),
            "TopicArn": TOPIC,
            "Message": "{}",
            "Timestamp": "2026-11-26T12:00:00.000Z",
            "SignatureVersion": version,
            "SigningCertURL": self.endpoint + PATH,
            **changes,
        }
        names = NOTIFICATION if body["Type"] == "Notification" else CONFIRMATION
        text = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
        algorithm = SHA1() if version == "1" else SHA256()
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        return {**body, "Signature": base64.b64encode(signature).decode()}

    def confirmation(self, **changes: Any) -> dict[str, Any]:
        """The first call of a new subscription."""
        query = urlencode({"Action": "ConfirmSubscription", "TopicArn": TOPIC, "Token": "t-1"})
        url = f"{self.endpoint}/?{query}"
        given = {"Type": "SubscriptionConfirmation", "Token": "t-1", "SubscribeURL": url, "Message": "You have chosen"}
        return self.signed(**(given | changes))

    def event(
        self, kind: str, sent: dict[str, Any], message_id: str, version: str = "2", **more: Any
    ) -> dict[str, Any]:
        """What SES tells about a mail.

        Args:
            sent: the request that it was sent with.
        """
        tags = {tag["Name"]: [tag["Value"]] for tag in sent["EmailTags"]} | {"ses:caller-identity": ["ses_user"]}
        mail = {"messageId": message_id, "destination": sent["Destination"]["ToAddresses"], "tags": tags}
        told = {"eventType": kind, "mail": mail, **more}
        return self.signed(version, Message=json.dumps(told), Subject="Amazon SES Email Event Notification")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        body = self.answers.get(path, b"<ConfirmSubscriptionResponse/>" if path.startswith("/?") else None)
        status = self.status if body is not None else "404 Not Found"
        body = body or b""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serving_sns(valid: timedelta = timedelta(days=1)) -> AsyncIterator[SnsServer]:
    """SNS on a free port."""
    sns, tls = SnsServer(valid), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    sns.authority.issue_cert(HOST).configure_cert(tls)
    server = await asyncio.start_server(sns.answer, "127.0.0.1", 0, ssl=tls)
    sns.endpoint = f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield sns
    finally:
        server.close()
        await server.wait_closed()


def certificate(key: rsa.RSAPrivateKey, valid: timedelta) -> bytes:
    """A certificate that the key has signed itself, for a time around now; a negative time is one that is over."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    end = datetime.now(UTC) + valid
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(end - timedelta(days=30)).not_valid_after(end)
    return built.sign(key, SHA256()).public_bytes(Encoding.PEM)
