"""Push messages through OneSignal."""

from __future__ import annotations

import uuid
from typing import Any

from adapters.channels.mail import stable_id
from adapters.channels.vendor_api import VendorApi
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

BASE_URL = "https://api.onesignal.com"


class OneSignal:
    """The address is a subscription id. The delivery is OneSignal's own idempotency key, which it knows for 30 days.

    Args:
        timeout: seconds for one message altogether.
    """

    name = "onesignal"

    def __init__(self, app_id: str, api_key: str, *, base_url: str = BASE_URL, timeout: float = 10.0) -> None:
        self._app_id = app_id
        headers = {"Authorization": f"Key {api_key}"}
        self._api = VendorApi(self.name, base_url, secrets=[api_key], timeout=timeout, headers=headers)

    async def send(self, delivery: Delivery) -> Outcome:
        answer = await self._api.request("POST", "/notifications", json=self._body(delivery))
        if isinstance(answer, Unavailable):
            return answer
        said = answer.at("errors")
        if not answer.ok:
            return self._api.failure(answer, said)
        # A subscription that does not exist or has been ended is told with 200 and no id.
        if not answer.at("id"):
            return Rejected(self.name, self._api.reason(str(said)))
        return Sent(self.name, answer.at("id"))

    async def check(self) -> str | None:
        """Asks for the last message."""
        return await self._api.check("GET", "/notifications", params={"app_id": self._app_id, "limit": 1})

    async def close(self) -> None:
        await self._api.close()

    def _body(self, delivery: Delivery) -> dict[str, Any]:
        body: dict[str, Any] = {
            "app_id": self._app_id,
            "target_channel": "push",
            "include_subscription_ids": [delivery.address],
            "headings": {"en": delivery.title},
            # It refuses an empty text.
            "contents": {"en": delivery.message or delivery.title},
            "data": {
                "notification_id": delivery.notification_id,
                "delivery_id": delivery.delivery_id,
                "type": delivery.type,
            },
            "collapse_id": stable_id(delivery),
            "idempotency_key": str(uuid.UUID(hex=stable_id(delivery), version=5)),
        }
        return body | ({"url": delivery.action_url} if delivery.action_url else {})
