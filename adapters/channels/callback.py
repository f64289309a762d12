"""What providers tell later: calls that come in over HTTP, signed, about messages that they had taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from adapters.channels.provider import reason_of
from millrace.contracts.wire import TENANT_PATTERN

MOST_IN_A_CALL = 10_000


class BadSignature(Exception):
    """Raised when a call is not signed by the provider whose it says to be.

    Attributes:
        provider: its name.
        reason: what is missing or wrong; never what would have been right.
    """

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"this call is not signed by {provider}: {reason}")
        self.provider, self.reason = provider, reason


class UnreadableCallback(Exception):
    """Raised when a call that is signed has another form than the provider documents.

    Attributes:
        provider: its name.
        reason: what is missing or wrong.
    """

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"this call cannot be read as one of {provider}: {reason}")
        self.provider, self.reason = provider, reason


class CallbackUnavailable(Exception):
    """Raised when a call can be neither believed nor refused now, since the provider cannot be asked; it calls again.

    Attributes:
        provider: its name.
        reason: what is missing.
    """

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"this call of {provider} cannot be taken now: {reason}")
        self.provider, self.reason = provider, reason


class Callback(NamedTuple):
    """One call as it came. Names of headers are lower case."""

    headers: Mapping[bytes, bytes]
    query: str
    body: bytes

    def header(self, name: str) -> str:
        """The header's text; empty where it is absent."""
        return self.headers.get(name.encode(), b"").decode("latin-1")


class Told(NamedTuple):
    """What became of one message.

    Attributes:
        id: the same each time that the provider tells it.
        provider_message_id: as it was told when the message was taken.
        reason: the provider's words; empty for one that has arrived.
    """

    id: str
    tenant: str
    notification_id: str
    channel: str
    status: Literal["delivered", "bounced", "failed"]
    provider_message_id: str
    reason: str = ""


class CallbackReader(Protocol):
    """Reads one provider's calls.

    Attributes:
        name: the provider's, as deliveries have it.
    """

    name: str

    async def read(self, call: Callback) -> Sequence[Told]:
        """What the call tells about messages of ours; empty where it is about others, or about nothing that ends.

        Raises:
            BadSignature: it is not the provider's.
            UnreadableCallback: it has another form.
            CallbackUnavailable: what it is verified by cannot be had now.
        """
        ...


def told(
    id: str,
    about: Mapping[str, Any],
    channel: str,
    status: Literal["delivered", "bounced", "failed"],
    provider_message_id: str,
    words: Iterable[object] = (),
) -> Told | None:
    """What was told, or None where the message is not one that the service has sent.

    Args:
        about: has the `tenant` and the `notification_id` that went along with the message.
    """
    tenant, notification_id = about.get("tenant"), about.get("notification_id")
    if not isinstance(tenant, str) or not TENANT_PATTERN.fullmatch(tenant) or not isinstance(notification_id, str):
        return None
    said = reason_of(" ".join(str(word) for word in words if word), ())
    stable = hashlib.sha256(id.encode()).hexdigest()
    return Told(stable, tenant, notification_id, channel, status, provider_message_id, said)
