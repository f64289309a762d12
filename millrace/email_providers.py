"""Mail providers that an application brings along, for `NotificationService(email_provider=…)`.

The service has more of them, by its settings, and goes on to the next one where one does not answer.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import httpx

from millrace.errors import NonRetryable, RetryAfter
from millrace.notification_channels import OutgoingNotification

BASE_URL = "https://api.sendgrid.com"
FROM = "SENDGRID_FROM_ADDRESS"
REFUSED = frozenset({401, 402, 403})
OVERLOADED = 429
AGAIN_SECONDS = 5.0


class SendGridProvider:
    """Sends through SendGrid's Web API. A repeat is a second mail with the same Message-ID.

    Args:
        from_address: of a sender that SendGrid has verified; default the variable SENDGRID_FROM_ADDRESS.
        timeout: seconds for one mail.

    Raises:
        ValueError: there is no address to send from.
    """

    def __init__(
        self, api_key: str, from_address: str | None = None, *, base_url: str = BASE_URL, timeout: float = 10.0
    ) -> None:
        sender = from_address or os.environ.get(FROM, "")
        if "@" not in sender:
            raise ValueError(
                f"SendGridProvider needs the address of a verified sender: give from_address or set {FROM}"
            )
        self._key, self._from, self._url, self._timeout = api_key, sender, base_url, timeout

    async def send(self, outgoing: OutgoingNotification) -> str | None:
        """Sends one mail, and returns SendGrid's id of it.

        Raises:
            NonRetryable: SendGrid will never take it like this.
            RetryAfter: it has not taken it now.
        """
        headers = {"Authorization": f"Bearer {self._key}"}
        async with httpx.AsyncClient(base_url=self._url, timeout=self._timeout, headers=headers) as client:
            answer = await client.post("/v3/mail/send", json=self._mail(outgoing))
        if answer.is_success:
            message_id: str | None = answer.headers.get("X-Message-Id")
            return message_id
        said = f"SendGrid answered {answer.status_code}"
        if answer.is_client_error and answer.status_code not in (OVERLOADED, *REFUSED):
            raise NonRetryable(said)
        wait = answer.headers.get("Retry-After", "")
        raise RetryAfter(float(wait) if wait.isdecimal() else AGAIN_SECONDS, said)

    def _mail(self, outgoing: OutgoingNotification) -> dict[str, Any]:
        notification = outgoing.notification
        text = notification.message or notification.title
        if notification.action_url:
            text += f"\n\n{notification.action_label or 'Open'}: {notification.action_url}"
        content = [{"type": "text/plain", "value": text}]
        if outgoing.html is not None:
            content.append({"type": "text/html", "value": outgoing.html})
        name = hashlib.sha256(outgoing.delivery_id.encode()).hexdigest()[:32]
        return {
            "personalizations": [{"to": [{"email": outgoing.address}]}],
            "from": {"email": self._from},
            "subject": " ".join(notification.title.split()) or "Notification",
            "content": content,
            "headers": {"Message-ID": f"<{name}@{self._from.rpartition('@')[2]}>", "Auto-Submitted": "auto-generated"},
            "custom_args": {"notification_id": notification.id, "delivery_id": outgoing.delivery_id},
        }
