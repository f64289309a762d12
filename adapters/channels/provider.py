"""What a provider is: one vendor, server or folder that a channel hands its deliveries to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.channels import Delivery, NotConfigured, Outcome, Unavailable

MAX_REASON = 300
HIDDEN = "[redacted]"


@dataclass(frozen=True, slots=True)
class Deferred(Unavailable):
    """The provider works, but has put off this one recipient: greylisting, a full mailbox, a busy endpoint."""


class Provider(Protocol):
    """A vendor, a server or a folder.

    Attributes:
        name: what outcomes call it.
    """

    name: str

    async def send(self, delivery: Delivery) -> Outcome:
        """Hands one delivery over; every failure is an outcome, and it ends within the provider's own time limit."""
        ...

    async def check(self) -> str | None:
        """Connects and signs in without sending anything: what is wrong, or None."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


class Unconfigured:
    """Stands where a provider lacks a setting, so that the service starts and says so for each delivery.

    Args:
        reason: which setting is missing.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self._reason = name, reason

    async def send(self, delivery: Delivery) -> Outcome:
        return NotConfigured(self._reason)

    async def check(self) -> str | None:
        return self._reason

    async def close(self) -> None:
        """Nothing is open."""


def reason_of(text: str, secrets: Sequence[str]) -> str:
    """What a server said, fit for an event: one line, bounded, without any of our secrets that it may have echoed."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN) if secret else text
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"
