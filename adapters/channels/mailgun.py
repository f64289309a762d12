"""Mail through Mailgun's HTTP API."""

from __future__ import annotations

from adapters.channels import mail
from adapters.channels.vendor_api import VendorApi
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

BASE_URL = "https://api.mailgun.net"
DOMAIN_UNKNOWN = 404


class Mailgun:
    """Mailgun has no idempotency key: a repeat is a second mail with the same Message-ID.

    Args:
        domain: the sending domain.
        base_url: `https://api.eu.mailgun.net` for domains in Europe.
        timeout: seconds for one mail altogether.
    """

    name = "mailgun"

    def __init__(
        self, api_key: str, domain: str, from_address: str, *, base_url: str = BASE_URL, timeout: float = 10.0
    ) -> None:
        self._domain, self._from = domain, from_address
        self._api = VendorApi(self.name, base_url, secrets=[api_key], timeout=timeout, auth=("api", api_key))

    async def send(self, delivery: Delivery) -> Outcome:
        try:
            form = self._form(delivery)
        except mail.BadAddress as error:
            return Rejected(self.name, str(error))
        answer = await self._api.request("POST", f"/v3/{self._domain}/messages", data=form)
        if isinstance(answer, Unavailable):
            return answer
        if answer.ok:
            return Sent(self.name, answer.at("id"))
        said = answer.at("message") or answer.body
        if answer.status == DOMAIN_UNKNOWN:
            return Unavailable(self.name, self._api.reason(f"the domain {self._domain} is not known there: {said}"))
        return self._api.failure(answer, said)

    async def check(self) -> str | None:
        """Asks about the domain."""
        return await self._api.check("GET", f"/v4/domains/{self._domain}")

    async def close(self) -> None:
        await self._api.close()

    def _form(self, delivery: Delivery) -> dict[str, str]:
        form = {
            "from": mail.formatted_sender(self._from),
            "to": mail.recipient(delivery.address),
            "subject": mail.subject(delivery),
            "text": mail.text(delivery),
            "h:Message-Id": mail.message_id(delivery, self._from),
            "h:Auto-Submitted": "auto-generated",
            "v:tenant": delivery.tenant,
            "v:notification_id": delivery.notification_id,
            "v:delivery_id": delivery.delivery_id,
        }
        return form | ({"html": delivery.html} if delivery.html is not None else {})
