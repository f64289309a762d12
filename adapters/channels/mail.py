"""What all mail has in common: its text, its addresses and a Message-ID that stays the same in every attempt."""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, formataddr, parseaddr

import idna

from domain.channels import Delivery
from millrace.contracts.contact_points import MAIL_ADDRESS

# What begins an encoded word (RFC 2047): whoever composes a header decodes it, with the line breaks that are in it.
ENCODED = "=?"
MAX_SUBJECT = 255


class BadAddress(ValueError):
    """Raised when a text is not exactly one mail address.

    Attributes:
        address: the text.
    """

    def __init__(self, address: str) -> None:
        super().__init__("the address is not one plain mail address such as name@example.com")
        self.address = address


class NonAsciiAddress(BadAddress):
    """Raised when the name before the @ has letters that this way of sending cannot carry."""

    def __init__(self, address: str) -> None:
        ValueError.__init__(
            self,
            "the name before the @ has other letters than ASCII, which this provider does not take; SMTP does where its"
            " server has SMTPUTF8",
        )
        self.address = address


def recipient(address: str, *, utf8: bool = False) -> str:
    """The address itself, with its domain in ASCII.

    Args:
        utf8: whether the name before the @ may have other letters.

    Raises:
        BadAddress: it is something else, or more than one.
        NonAsciiAddress: the name has other letters, and may not.
    """
    plain = address.strip()
    if not MAIL_ADDRESS.fullmatch(plain) or ENCODED in plain:
        raise BadAddress(address)
    name, _, domain = plain.rpartition("@")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            raise BadAddress(address) from None
    if not utf8 and not name.isascii():
        raise NonAsciiAddress(address)
    return f"{name}@{domain}"


def sender(text: str) -> tuple[str, str]:
    """Display name and address of `Name <address>` or of a bare address.

    Raises:
        BadAddress: there is no address in it.
    """
    name, address = parseaddr(one_line(text))
    return name, recipient(address)


def formatted_sender(text: str) -> str:
    """The sender as a header has it: a display name quoted or encoded as needed.

    Raises:
        BadAddress: there is no address in it.
    """
    return formataddr(sender(text))


def one_line(text: str) -> str:
    """The text without line breaks, control characters and encoded words, as a header needs it."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return plain.replace(ENCODED, "= ?")


def subject(delivery: Delivery) -> str:
    """The title as a subject line."""
    return one_line(delivery.title)[:MAX_SUBJECT]


def text(delivery: Delivery) -> str:
    """The plain text: the message, or the title where there is none, then what is to be opened."""
    body = delivery.message or delivery.title
    if delivery.action_url:
        body += f"\n\n{delivery.action_label or 'Open'}: {delivery.action_url}"
    return body


def stable_id(delivery: Delivery) -> str:
    """32 hexadecimal digits: the same in each attempt, and no other delivery's."""
    return hashlib.sha256(f"{delivery.tenant}\0{delivery.delivery_id}".encode()).hexdigest()[:32]


def message_id(delivery: Delivery, from_address: str) -> str:
    """The Message-ID, by which mail programs recognise a mail that came twice."""
    return f"<{stable_id(delivery)}@{sender(from_address)[1].rpartition('@')[2]}>"


def compose(delivery: Delivery, from_address: str, now: datetime) -> EmailMessage:
    """The mail as it goes to a mailbox or a server.

    Args:
        now: for the Date header; with a time zone.

    Raises:
        BadAddress: of the recipient or the sender.
    """
    to = recipient(delivery.address, utf8=True)
    mail = EmailMessage(policy=SMTP if to.isascii() else SMTPUTF8)
    mail["From"] = formatted_sender(from_address)
    mail["To"] = to
    mail["Subject"] = subject(delivery)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = message_id(delivery, from_address)
    mail["Auto-Submitted"] = "auto-generated"
    if delivery.locale:
        mail["Content-Language"] = one_line(delivery.locale)
    mail.set_content(text(delivery))
    if delivery.html is not None:
        mail.add_alternative(delivery.html, subtype="html")
    return mail
