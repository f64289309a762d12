"""What travels on the live exchange: samples, which are shown to whoever looks and kept by nobody."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

from millrace.contracts.wire import Fact

EXCHANGE = "millrace.live"


class Transient(Fact):
    """A sample as a CloudEvent 1.0: it has no position, and may be lost, overtaken or left out.

    Attributes:
        id: of what was observed, the same however often and through whichever process it arrives.
        eventtype: as an event's, such as `progress.update`.
        subject: id of the aggregate that it is about.
    """

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    eventtype: str
    tenant: str
    transient: Literal[True]
    data: dict[str, Any]


def live_key(tenant: str, event_type: str, subject: str) -> str:
    """The routing key of a sample; the subject is hashed, since a key has room for 255 bytes and dots divide it."""
    return f"{tenant}.{event_type}.{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
