"""What travels on the live exchange: samples, which are shown to whoever looks and kept by nobody."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from millrace.contracts.wire import Fact

EXCHANGE = "millrace.live"


class Transient(Fact):
    """A sample as a CloudEvent: it has no position, and may be lost, overtaken or left out.

    Attributes:
        id: of the message on the exchange; the live feed over HTTP leaves it out.
        eventtype: as an event's, such as `progress.update`.
        subject: id of the aggregate that it is about.
    """

    id: str | None = None
    tenant: str
    eventtype: str
    subject: str
    transient: Literal[True]
    data: dict[str, Any]


def live_key(tenant: str, event_type: str, subject: str) -> str:
    """The routing key of a sample; the subject is hashed, since a key has room for 255 bytes and dots divide it."""
    return f"{tenant}.{event_type}.{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
