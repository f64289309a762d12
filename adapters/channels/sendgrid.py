"""Mail through SendGrid's Web API, version 3."""

from __future__ import annotations

import time
from typing import Any

from adapters.channels import mail
from adapters.channels.vendor_api import Answer, VendorApi
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

BASE_URL = "https://api.sendgrid.com"


class SendGrid:
    """SendGrid has no idempotency key: a repeat is a second mail with the same Message-ID.

    Args:
        from_address: of a sender that SendGrid has verified.
        timeout: seconds for one mail altogether.
    """

    name = "sendgrid"

    def __init__(self, api_key: str, from_address: str, *, base_url: str = BASE_URL, timeout: float = 10.0) -> None:
        self._from = from_address
        self._api = VendorApi(
            self.name,
            base_url,
            secrets=[api_key],
            timeout=timeout,
            headers={"Authorization": f"Bearer {api_key}"},
        )

    async def send(self, delivery: Delivery) -> Outcome:
        try:
            body = self._body(delivery)
        except mail.BadAddress as error:
            return Rejected(self.name, str(error))
        answer = await self._api.request("POST", "/v3/mail/send", json=body)
        if isinstance(answer, Unavailable):
            return answer
        if answer.ok:
            return Sent(self.name, answer.headers.get("X-Message-Id"))
        failure = self._api.failure(answer, answer.at("errors", 0, "message"))
        if isinstance(failure, Unavailable) and failure.retry_after is None:
            return Unavailable(self.name, failure.reason, _until_reset(answer))
        return failure

    async def check(self) -> str | None:
        """Asks what the key may do."""
        return await self._api.check("GET", "/v3/scopes")

    async def close(self) -> None:
        await self._api.close()

    def _body(self, delivery: Delivery) -> dict[str, Any]:
        name, address = mail.sender(self._from)
        content = [{"type": "text/plain", "value": mail.text(delivery)}]
        if delivery.html is not None:
            content.append({"type": "text/html", "value": delivery.html})
        return {
            "personalizations": [{"to": [{"email": mail.recipient(delivery.address)}]}],
            "from": {"email": address} | ({"name": name} if name else {}),
            "subject": mail.subject(delivery),
            "content": content,
            "headers": {"Message-ID": mail.message_id(delivery, self._from), "Auto-Submitted": "auto-generated"},
            "custom_args": {
                "tenant": delivery.tenant,
                "notification_id": delivery.notification_id,
                "delivery_id": delivery.delivery_id,
            },
        }


def _until_reset(answer: Answer) -> float | None:
    """Seconds until the limit is lifted, which SendGrid tells as a time of the clock."""
    reset = answer.headers.get("X-RateLimit-Reset", "")
    return max(0.0, float(reset) - time.time()) if reset.isdigit() else None
