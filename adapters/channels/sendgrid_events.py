"""SendGrid's event webhook, signed by ECDSA over the time and the body."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic_core import from_json

from adapters.channels.callback import MOST_IN_A_CALL, BadSignature, Callback, Told, UnreadableCallback, told

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
ENDS: Mapping[object, Literal["delivered", "bounced", "failed"]] = {
    "delivered": "delivered",
    "bounce": "bounced",
    "dropped": "failed",
}
# What SendGrid adds to the id that it gave when it took the mail.
ADDED = re.compile(r"\.(filter|recv).*", re.DOTALL)


class BadPublicKey(ValueError):
    """Raised when a text is no verification key of an event webhook."""

    def __init__(self) -> None:
        super().__init__("is no verification key; copy it from SendGrid's settings of the signed event webhook")


class SendGridEvents:
    """A call may come again, days later; it then tells nothing new.

    Args:
        public_key: the verification key, as SendGrid shows it: base64 of DER.

    Raises:
        BadPublicKey: it is none.
    """

    name = "sendgrid"

    def __init__(self, public_key: str) -> None:
        try:
            key = load_der_public_key(base64.b64decode(public_key, validate=True))
        except ValueError:
            raise BadPublicKey from None
        if not isinstance(key, EllipticCurvePublicKey):
            raise BadPublicKey
        self._key = key

    async def read(self, call: Callback) -> Sequence[Told]:
        self._verify(call)
        try:
            events = from_json(call.body)
        except ValueError:
            raise UnreadableCallback(self.name, "the body is no JSON") from None
        if not isinstance(events, list) or len(events) > MOST_IN_A_CALL:
            raise UnreadableCallback(self.name, f"the body is no array of at most {MOST_IN_A_CALL} events")
        found = (_told(event) for event in events if isinstance(event, dict))
        return [each for each in found if each is not None]

    def _verify(self, call: Callback) -> None:
        given, at = call.header(SIGNATURE), call.header(TIMESTAMP)
        if not given or not at:
            raise BadSignature(self.name, f"the headers {SIGNATURE} and {TIMESTAMP} are missing")
        try:
            self._key.verify(base64.b64decode(given, validate=True), at.encode() + call.body, ECDSA(SHA256()))
        except (ValueError, InvalidSignature):
            raise BadSignature(self.name, "the signature does not fit the body and the verification key") from None


def _told(event: Mapping[str, Any]) -> Told | None:
    name = event.get("event")
    status = ENDS.get(name) if isinstance(name, str) else None
    if status is None:
        return None
    message_id = ADDED.sub("", str(event.get("sg_message_id", "")))
    id = str(event.get("sg_event_id") or f"{message_id}/{name}")
    words = () if status == "delivered" else (event.get("status"), event.get("reason"))
    return told(id, event, "email", status, message_id, words)
