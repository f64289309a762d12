"""Twilio's status callbacks, signed by HMAC over the address that was called and the form."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from adapters.channels.callback import BadSignature, Callback, Told, UnreadableCallback, told
from domain.channels import Delivery

SIGNATURE = "x-twilio-signature"
ENDS: Mapping[str, Literal["delivered", "failed"]] = {
    "delivered": "delivered",
    "undelivered": "failed",
    "failed": "failed",
}
MOST_FIELDS = 200


class TwilioStatus:
    """Reads one status for each call.

    Args:
        auth_token: of the account, which is the key.
        url: under which Twilio reaches this service; the call's own host may be that of a proxy.
    """

    name = "twilio"

    def __init__(self, auth_token: str, url: str) -> None:
        self._key, self._url = auth_token.encode(), url

    async def read(self, call: Callback) -> Sequence[Told]:
        try:
            form = parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError:
            raise UnreadableCallback(self.name, "the body is no form") from None
        self._verify(call, form)
        fields, about = dict(form), dict(parse_qsl(call.query))
        status = ENDS.get(fields.get("MessageStatus", ""))
        if status is None:
            return []
        message_id = fields.get("MessageSid", "")
        words = () if status == "delivered" else (fields["MessageStatus"], fields.get("ErrorCode"))
        found = told(f"{message_id}/{status}", about, "sms", status, message_id, words)
        return [] if found is None else [found]

    def _verify(self, call: Callback, form: Sequence[tuple[str, str]]) -> None:
        given = call.header(SIGNATURE)
        if not given:
            raise BadSignature(self.name, f"the header {SIGNATURE} is missing")
        called = f"{self._url}?{call.query}" if call.query else self._url
        if not hmac.compare_digest(signature_of(self._key, called, form).encode(), given.encode()):
            raise BadSignature(self.name, "the signature does not fit the form, the address and the auth token")


def signature_of(key: bytes, url: str, form: Sequence[tuple[str, str]]) -> str:
    """https://www.twilio.com/docs/usage/security#validating-requests"""
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha1).digest()).decode()


def callback_url(url: str, delivery: Delivery) -> str:
    """Where Twilio is to tell what became of a delivery."""
    return f"{url}?{urlencode({'tenant': delivery.tenant, 'notification_id': delivery.notification_id})}"
