"""Push messages through Firebase Cloud Messaging, HTTP v1."""

from __future__ import annotations

from typing import Any

from adapters.channels.google_token import GoogleToken, ServiceAccount
from adapters.channels.mail import stable_id
from adapters.channels.vendor_api import Answer, VendorApi
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

BASE_URL = "https://fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
# Of the device: its token is gone, or belongs to another sender.
OF_THE_DEVICE = frozenset({"UNREGISTERED", "INVALID_ARGUMENT", "SENDER_ID_MISMATCH"})
UNAUTHORISED = 401


class Firebase:
    """The address is the registration token of one device.

    FCM has no idempotency key. The delivery is the tag under which the device shows the message, so that a repeat takes
    the place of the first one.

    Args:
        timeout: seconds for one request altogether.
    """

    name = "firebase"

    def __init__(self, account: ServiceAccount, *, base_url: str = BASE_URL, timeout: float = 10.0) -> None:
        secrets = [account.private_key]
        self._api = VendorApi(self.name, base_url, secrets=secrets, timeout=timeout)
        self._token = GoogleToken(account, SCOPE, self._api)
        self._path = f"/v1/projects/{account.project_id}/messages:send"

    async def send(self, delivery: Delivery) -> Outcome:
        token = await self._token.get()
        if not isinstance(token, str):
            return token
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self._api.request("POST", self._path, json={"message": _message(delivery)}, headers=headers)
        if isinstance(answer, Unavailable):
            return answer
        return Sent(self.name, answer.at("name")) if answer.ok else self._failure(answer)

    async def check(self) -> str | None:
        """Fetches an access token."""
        token = await self._token.get()
        return None if isinstance(token, str) else token.reason

    async def close(self) -> None:
        await self._api.close()

    def _failure(self, answer: Answer) -> Rejected | Unavailable:
        if answer.status == UNAUTHORISED:
            self._token.forget()
        codes = [detail.get("errorCode") for detail in answer.at("error", "details") or [] if isinstance(detail, dict)]
        code = next((code for code in codes if code), answer.at("error", "status"))
        said = f"{code}: {answer.at('error', 'message')}"
        if code in OF_THE_DEVICE:
            return Rejected(self.name, self._api.reason(f"{answer.status}: {said}"))
        return self._api.failure(answer, said)


def _message(delivery: Delivery) -> dict[str, Any]:
    name = stable_id(delivery)
    data = {
        "notification_id": delivery.notification_id,
        "delivery_id": delivery.delivery_id,
        "type": delivery.type,
        "category": delivery.category or "",
        "action_url": delivery.action_url or "",
    }
    link = delivery.action_url or ""
    return {
        "token": delivery.address,
        "notification": {"title": delivery.title, "body": delivery.message},
        "data": data,
        "android": {"collapse_key": name, "notification": {"tag": name}},
        "apns": {"headers": {"apns-collapse-id": name}},
        # FCM takes nothing but HTTPS here.
        "webpush": {"headers": {"Topic": name}}
        | ({"fcm_options": {"link": link}} if link.startswith("https:") else {}),
    }
