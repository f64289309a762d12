"""Text messages through Twilio, or whatever speaks its Messages API."""

from __future__ import annotations

import re

from adapters.channels.twilio_status import callback_url
from adapters.channels.vendor_api import VendorApi
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

BASE_URL = "https://api.twilio.com"
NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
MAX_TEXT = 1_600
# https://www.twilio.com/docs/api/errors: the account or the sender cannot do it, whoever the recipient is.
OF_THE_ACCOUNT = frozenset({20003, 21212, 21603, 21606, 21612, 30001, 30002})


class Twilio:
    """The address is a number in E.164 form. Twilio has no idempotency key: a repeat is a second text message.

    Args:
        sender: one of our numbers, or the id of a messaging service (`MG…`).
        status_callback: where Twilio is to tell what became of a message.
        timeout: seconds for one message altogether.
    """

    name = "twilio"

    def __init__(
        self, account_sid: str, auth_token: str, sender: str, *, status_callback: str | None = None,
        base_url: str = BASE_URL, timeout: float = 10.0,
    ) -> None:  # fmt: skip
        self._account, self._sender, self._status_callback = account_sid, sender, status_callback
        auth = (account_sid, auth_token)
        self._api = VendorApi(self.name, base_url, secrets=[auth_token], timeout=timeout, auth=auth)

    async def send(self, delivery: Delivery) -> Outcome:
        to = re.sub(r"[ ().\-]", "", delivery.address)
        if not NUMBER.fullmatch(to):
            return Rejected(self.name, "the address is no telephone number in international form such as +4930123456")
        text = sms_text(delivery)
        if len(text) > MAX_TEXT:
            return Rejected(self.name, f"the message has {len(text)} characters; a text message may have {MAX_TEXT}")
        by = "MessagingServiceSid" if self._sender.startswith("MG") else "From"
        form = {"To": to, by: self._sender, "Body": text}
        if self._status_callback is not None:
            form["StatusCallback"] = callback_url(self._status_callback, delivery)
        answer = await self._api.request("POST", f"/2010-04-01/Accounts/{self._account}/Messages.json", data=form)
        if isinstance(answer, Unavailable):
            return answer
        if answer.ok:
            return Sent(self.name, answer.at("sid"))
        said = f"{answer.at('code')}: {answer.at('message')}"
        if answer.at("code") in OF_THE_ACCOUNT:
            return Unavailable(self.name, self._api.reason(f"{answer.status}: {said}"))
        return self._api.failure(answer, said)

    async def check(self) -> str | None:
        """Asks about the account."""
        return await self._api.check("GET", f"/2010-04-01/Accounts/{self._account}.json")

    async def close(self) -> None:
        await self._api.close()


def sms_text(delivery: Delivery) -> str:
    """Title, message and link, of those that are there."""
    return "\n".join(part for part in (delivery.title, delivery.message, delivery.action_url) if part)
