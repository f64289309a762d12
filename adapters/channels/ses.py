"""Mail through Amazon SES, API version 2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from adapters.channels import mail
from adapters.channels.sigv4 import AwsCredentials, signed_headers
from adapters.channels.vendor_api import Answer, VendorApi
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

PATH = "/v2/email/outbound-emails"
TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
# Answered with 400, although it is the account and not the mail that cannot be served.
OF_THE_ACCOUNT = frozenset(
    {
        "AccountSuspendedException",
        "LimitExceededException",
        "MailFromDomainNotVerifiedException",
        "NotFoundException",
        "SendingPausedException",
    }
)


class Ses:
    """SES has no idempotency key and names each mail itself; the delivery is a tag, so that events can be told apart.

    Args:
        region: such as `eu-central-1`.
        configuration_set: default: the identity's own.
        base_url: default: the region's own.
        now: the time for the signature.
        timeout: seconds for one mail altogether.
    """

    name = "ses"

    def __init__(
        self,
        credentials: AwsCredentials,
        region: str,
        from_address: str,
        *,
        now: Callable[[], datetime],
        configuration_set: str | None = None,
        base_url: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._credentials, self._region, self._from, self._now = credentials, region, from_address, now
        self._configuration = {} if configuration_set is None else {"ConfigurationSetName": configuration_set}
        url = base_url or f"https://email.{region}.amazonaws.com"
        self._host = urlsplit(url).netloc
        secrets = [credentials.secret_access_key, credentials.session_token or ""]
        self._api = VendorApi(self.name, url, secrets=secrets, timeout=timeout)

    async def send(self, delivery: Delivery) -> Outcome:
        try:
            body = json.dumps(self._body(delivery)).encode()
        except mail.BadAddress as error:
            return Rejected(self.name, str(error))
        headers = self._signed("POST", PATH, body, "application/json")
        answer = await self._api.request("POST", PATH, content=body, headers=headers)
        if isinstance(answer, Unavailable):
            return answer
        return Sent(self.name, answer.at("MessageId")) if answer.ok else self._failure(answer)

    async def check(self) -> str | None:
        """Asks about the account."""
        path = "/v2/email/account"
        return await self._api.check("GET", path, headers=self._signed("GET", path, b"", None))

    async def close(self) -> None:
        await self._api.close()

    def _failure(self, answer: Answer) -> Rejected | Unavailable:
        kind = answer.headers.get("x-amzn-ErrorType", "").partition(":")[0]
        said = f"{kind} {answer.at('message') or answer.at('Message') or ''}".strip()
        if kind in OF_THE_ACCOUNT:
            return Unavailable(self.name, self._api.reason(f"{answer.status}: {said}"))
        return self._api.failure(answer, said)

    def _signed(self, method: str, path: str, body: bytes, content_type: str | None) -> dict[str, str]:
        return signed_headers(
            self._credentials, method, self._host, path, body,
            region=self._region, service="ses", now=self._now(), content_type=content_type,
        )  # fmt: skip

    def _body(self, delivery: Delivery) -> dict[str, Any]:
        parts = {"Text": mail.text(delivery)} | ({"Html": delivery.html} if delivery.html is not None else {})
        tags = {
            "delivery": mail.stable_id(delivery),
            "tenant": delivery.tenant,
            "notification_id": delivery.notification_id,
        }
        return {
            "FromEmailAddress": mail.formatted_sender(self._from),
            "Destination": {"ToAddresses": [mail.recipient(delivery.address)]},
            "Content": {
                "Simple": {
                    "Subject": {"Data": mail.subject(delivery), "Charset": "UTF-8"},
                    "Body": {kind: {"Data": text, "Charset": "UTF-8"} for kind, text in parts.items()},
                    "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
                }
            },
            # SES says them again in each event, if nothing else is in them than they may have.
            "EmailTags": [{"Name": name, "Value": value} for name, value in tags.items() if TAG.fullmatch(value)],
            **self._configuration,
        }
