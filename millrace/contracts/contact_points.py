"""What an address must look like for a channel; beyond that, the provider knows what it can reach."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from millrace.contracts.notification import NotificationChannel

# One plain address: no display name, no list, no quoting, nothing that could begin another header or command.
MAIL_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]{1,64}@[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]{1,253}")
WEBHOOK_SCHEMES = ("http", "https")


def wrong_with(channel: str, address: str) -> str | None:
    """Why nothing could ever be sent to the address through the channel; None where something may be."""
    match channel:
        case NotificationChannel.EMAIL if not MAIL_ADDRESS.fullmatch(address.strip()):
            return "is not one plain mail address such as name@example.com"
        case NotificationChannel.WEBHOOK if not _is_web_url(address):
            return "is no URL such as https://example.com/hook; it begins with https:// or http:// and has no spaces"
        case _:
            return None


def _is_web_url(address: str) -> bool:
    if any(sign.isspace() or not sign.isprintable() for sign in address):
        return False
    try:
        url = urlsplit(address)
        return url.scheme in WEBHOOK_SCHEMES and bool(url.hostname)
    except ValueError:
        return False
