"""Mailgun's webhooks. What is signed is their time and a token, not what they say: serve them over TLS only."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic_core import from_json

from adapters.channels.callback import BadSignature, Callback, Told, UnreadableCallback, told

# Mailgun tries for eight hours to get a call through.
OLDEST_SECONDS = 12 * 3_600.0


class MailgunEvents:
    """Reads one event for each call.

    Args:
        signing_key: the webhook signing key.
        now: the time, by which a call that is twelve hours old is refused.
    """

    name = "mailgun"

    def __init__(self, signing_key: str, now: Callable[[], datetime]) -> None:
        self._key, self._now = signing_key.encode(), now

    async def read(self, call: Callback) -> Sequence[Told]:
        try:
            body = from_json(call.body)
        except ValueError:
            raise UnreadableCallback(self.name, "the body is no JSON") from None
        if not isinstance(body, dict):
            raise UnreadableCallback(self.name, "the body is no object")
        self._verify(body.get("signature"))
        event = body.get("event-data")
        if not isinstance(event, dict):
            raise UnreadableCallback(self.name, "it has no event-data")
        found = _told(event)
        return [] if found is None else [found]

    def _verify(self, signature: object) -> None:
        given = signature if isinstance(signature, dict) else {}
        parts = [given.get(name) for name in ("timestamp", "token", "signature")]
        at, token, digest = (part if isinstance(part, str) else "" for part in parts)
        if not at.isdecimal() or not at.isascii() or not token or not digest:
            raise BadSignature(self.name, "the body has no signature with timestamp, token and signature")
        right = hmac.new(self._key, f"{at}{token}".encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right.encode(), digest.encode()):
            raise BadSignature(self.name, "the signature does not fit the token and the signing key")
        if abs(self._now().timestamp() - float(at)) > OLDEST_SECONDS:
            raise BadSignature(self.name, "it is older than twelve hours, or its time has not come")


def _told(event: Mapping[str, Any]) -> Told | None:
    status = _status(event)
    if status is None:
        return None
    message_id = str(_at(event, "message", "headers", "message-id") or "").strip("<>")
    details = _at(event, "delivery-status") or {}
    words: list[object] = []
    if status != "delivered":
        words = [event.get("reason"), _at(details, "code"), _at(details, "message") or _at(details, "description")]
    id = str(event.get("id") or f"{message_id}/{event.get('event')}")
    return told(id, _at(event, "user-variables") or {}, "email", status, f"<{message_id}>", words)


def _status(event: Mapping[str, Any]) -> Literal["delivered", "bounced", "failed"] | None:
    match event.get("event"), event.get("severity"):
        case "delivered", _:
            return "delivered"
        case "failed", "permanent":
            return "bounced"
        case "rejected", _:
            return "failed"
        case _:
            # What has failed for now is tried again by Mailgun.
            return None


def _at(value: object, *path: str) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
