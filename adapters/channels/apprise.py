"""Text messages and push through any of the services that Apprise knows."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any
from urllib.parse import quote

import apprise

from adapters.channels.provider import reason_of
from adapters.channels.twilio import sms_text
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

PLACE = "{address}"
# What may be put into the URL: numbers, tokens and names, nothing that could change the URL's other parts.
PLAIN = re.compile(r"[^\x00-\x20\x7f]{1,512}")


class Apprise:
    """Apprise tells neither why something failed nor how the service calls the message, and has no idempotency key.

    Args:
        url: of the service, as Apprise documents it, with `{address}` where the recipient stands; it holds secrets.
        timeout: seconds for one message altogether; its thread ends by Apprise's own limits (4 s each).
    """

    name = "apprise"

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self._url, self._timeout = url, timeout
        # Below that, Apprise logs whole requests, tokens included.
        logging.getLogger("apprise").setLevel(logging.WARNING)

    async def send(self, delivery: Delivery) -> Outcome:
        if not PLAIN.fullmatch(delivery.address):
            return Rejected(self.name, "the address has spaces or control characters in it")
        service = _service(self._url.replace(PLACE, quote(delivery.address, safe="")))
        if service is None:
            return Rejected(self.name, "the service does not take this address")
        try:
            async with asyncio.timeout(self._timeout):
                taken = await asyncio.to_thread(service.notify, body=sms_text(delivery))
        except TimeoutError:
            return Unavailable(self.name, f"no answer within {self._timeout:g} s; whether it was taken is unknown")
        except Exception as error:
            # Each of its 130 services raises what it likes; the text may quote the URL.
            return Unavailable(self.name, reason_of(f"{service.service_name}: {type(error).__name__}", ()))
        if not taken:
            return Unavailable(self.name, reason_of(f"{service.service_name} did not take the message", ()))
        return Sent(self.name)

    async def check(self) -> str | None:
        """Whether Apprise understands the URL; it has no way to try it."""
        return None if _service(self._url.replace(PLACE, "10000000000")) else "Apprise does not understand the url"

    async def close(self) -> None:
        """Apprise keeps nothing open."""


def _service(url: str) -> Any:
    # without the asset's default of telling who sends
    return apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(app_id="Millrace"), suppress_exceptions=True)
