"""Signed calls to a URL that the user has given: Standard Webhooks, and no way into the network inside."""

from __future__ import annotations

import asyncio
import binascii
import json
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

import httpcore
import httpx
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from adapters.channels.provider import Deferred, reason_of
from adapters.channels.public_address import AddressRefused, NameUnknown, Network, PublicNetwork, Resolve, resolve
from adapters.channels.vendor_api import retry_after
from domain.channels import Delivery, NotConfigured, Outcome, Rejected, Sent

MAX_BODY = 262_144
MAX_ANSWER = 65_536
MAX_URL = 2_048
MIN_SECRET = 24
GONE = 410
PORTS: Mapping[str, int] = {"http": 80, "https": 443}


class BadWebhookSecret(ValueError):
    """Raised when a secret is not `whsec_` and 24 to 64 bytes in base64. It does not show the secret."""

    def __init__(self) -> None:
        super().__init__("a webhook secret is `whsec_` and 24 to 64 random bytes in base64")


class BadUrl(ValueError):
    """Raised when a URL is none that webhooks may be sent to; the message says why."""


def signer(secret: str) -> Webhook:
    """What signs with one secret.

    Raises:
        BadWebhookSecret: it is of the wrong form or too short.
    """
    try:
        key = binascii.a2b_base64(secret.removeprefix("whsec_"), strict_mode=True)
    except ValueError:
        raise BadWebhookSecret from None
    if not secret.startswith("whsec_") or not MIN_SECRET <= len(key) <= 64:
        raise BadWebhookSecret
    try:
        return Webhook(secret)
    except EmptyWebhookSecretError:
        raise BadWebhookSecret from None


class WebhookChannel:
    """The address is the URL. `webhook-id` is the delivery's id, the same in every attempt, so that a receiver can tell
    repeats.

    Args:
        secrets: of each tenant, where it has its own, newest first; every one of them signs, so that a receiver may
            still have the old one while the secret is changed.
        default_secrets: of tenants without their own.
        now: the time for `webhook-timestamp`; with a time zone.
        timeout: seconds for one call altogether.
        schemes, ports: what URLs may have.
        allowed: networks that are reached although they are not public.
        tls: what certificates to trust; default: the system's.
        resolve: name and port to addresses.

    Raises:
        BadWebhookSecret: one of the secrets is of the wrong form.
    """

    name = "webhook"

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        default_secrets: Sequence[str] = (),
        secrets: Mapping[str, Sequence[str]] | None = None,
        timeout: float = 10.0,
        schemes: Collection[str] = ("https", "http"),
        ports: Collection[int] = (80, 443),
        allowed: Iterable[Network] = (),
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        self._now, self._timeout, self._schemes, self._ports = now, timeout, frozenset(schemes), frozenset(ports)
        self._default = [signer(secret) for secret in default_secrets]
        self._own = {tenant: [signer(secret) for secret in each] for tenant, each in (secrets or {}).items()}
        # A fresh pool, so that no proxy of the environment decides where a call goes.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpcore.default_ssl_context(),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=30.0,
            network_backend=PublicNetwork(allowed, resolve),
        )

    async def send(self, delivery: Delivery) -> Outcome:
        signers = self._own.get(delivery.tenant, self._default)
        if not signers:
            return NotConfigured(
                "webhooks are not sent unsigned: modules.notifications.providers.webhook.secrets is empty"
            )
        try:
            url = self._url(delivery.address)
        except BadUrl as error:
            return Rejected(self.name, str(error))
        body = payload(delivery)
        if len(body) > MAX_BODY:
            return Rejected(self.name, f"the body has {len(body)} bytes; a webhook may have {MAX_BODY}")
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": "Millrace",
            **signature_headers(signers, delivery.delivery_id, self._now(), body),
        }
        try:
            async with asyncio.timeout(self._timeout):
                return await self._call(url, headers, body)
        except TimeoutError:
            reason = f"no answer within {self._timeout:g} s; whether it was taken is unknown"
            return Deferred(self.name, reason)

    async def check(self) -> str | None:
        """Whether there is a secret; whom we would call, only a delivery says."""
        return None if self._default or self._own else "there is no secret to sign with"

    async def close(self) -> None:
        await self._pool.aclose()

    async def _call(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> Outcome:
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port or PORTS[url.scheme], target=url.raw_path
        )
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        try:
            async with self._pool.stream(
                "POST", target, headers=list(headers.items()), content=body, extensions={"timeout": limits}
            ) as response:
                await _discard(response)
        except AddressRefused as error:
            return Rejected(self.name, str(error))
        except NameUnknown as error:
            return Deferred(self.name, str(error))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            return Deferred(self.name, reason_of(f"{type(error).__name__}: {error}", ()))
        return self._answered(response)

    def _answered(self, response: httpcore.Response) -> Outcome:
        if 200 <= response.status < 300:
            return Sent(self.name)
        if response.status == GONE:
            return Rejected(self.name, "410: the endpoint is gone")
        told = dict(response.headers).get(b"Retry-After") or dict(response.headers).get(b"retry-after")
        redirect = "; redirects are not followed" if 300 <= response.status < 400 else ""
        wait = retry_after(told.decode("latin-1")) if told else None
        return Deferred(self.name, f"the endpoint answered {response.status}{redirect}", wait)

    def _url(self, address: str) -> httpx.URL:
        if len(address) > MAX_URL:
            raise BadUrl(f"the address is longer than {MAX_URL} characters")
        if any(sign.isspace() or not sign.isprintable() for sign in address):
            raise BadUrl("the address is no URL: it has spaces or control characters in it")
        try:
            url = httpx.URL(address)
            # Names that no name server could know show when they are decoded.
            named = bool(url.host)
        except (httpx.InvalidURL, TypeError, UnicodeError):
            raise BadUrl("the address is no URL") from None
        if url.scheme not in self._schemes:
            raise BadUrl(f"the address must begin with {' or '.join(f'{each}://' for each in sorted(self._schemes))}")
        if not named:
            raise BadUrl("the address names no host")
        if url.userinfo:
            raise BadUrl("the address has a user name or password in it, which webhooks do not send")
        port = url.port or PORTS[url.scheme]
        if port not in self._ports:
            allowed = ", ".join(str(each) for each in sorted(self._ports))
            raise BadUrl(f"the address has port {port}; webhooks go to {allowed}")
        return url


def payload(delivery: Delivery) -> bytes:
    """The body: the same bytes in every attempt."""
    data = {
        "notification_id": delivery.notification_id,
        "tenant": delivery.tenant,
        "user_id": delivery.user_id,
        "type": delivery.type,
        "category": delivery.category,
        "title": delivery.title,
        "message": delivery.message,
        "action_url": delivery.action_url,
        "action_label": delivery.action_label,
        "locale": delivery.locale,
        "metadata": dict(delivery.metadata),
    }
    return json.dumps({"type": "notification", "data": data}, separators=(",", ":"), ensure_ascii=False).encode()


def signature_headers(signers: Sequence[Webhook], delivery_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers of the Standard Webhooks specification."""
    # A full stop separates the signed parts, so the specification wants none in the id.
    name = delivery_id.replace(".", "_")
    signatures = [each.sign(name, now, body.decode()) for each in signers]
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


async def _discard(response: httpcore.Response) -> None:
    """Reads a little, so that the connection can be used again; of a long answer nothing more is wanted."""
    size = 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > MAX_ANSWER:
            return
