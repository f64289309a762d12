"""What the edge knows about one HTTP request before any route sees it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

from adapters.http.access import Access
from adapters.http.problems import malformed
from millrace.contracts.wire import TENANT_PATTERN, Context

SCOPE_KEY = "millrace.call"
ENVELOPE_PREFIX = "/api/v1/"
REPLY_PREFIXES = ("/api/commands", "/api/queries")

SINGLE_HEADERS = frozenset(
    {
        b"authorization", b"content-encoding", b"content-length", b"content-type", b"host", b"idempotency-key",
        b"last-event-id", b"origin", b"x-actor", b"x-api-key", b"x-causation-id", b"x-company-id",
        b"x-correlation-id", b"x-min-position", b"x-tenant", b"x-tenant-id",
    }
)  # fmt: skip
PRINTABLE = re.compile(rb"[\x20-\x7e]{1,128}")
TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Shape(Enum):
    """How answers look: bare bodies with RFC 9457 problems, the reply of a command, or the `/api/v1` envelope."""

    BARE = "bare"
    REPLY = "reply"
    ENVELOPE = "envelope"


def time_ordered_id() -> str:
    """A UUID of version 7: ids that are made one after another sort that way."""
    value = bytearray(int(time.time() * 1_000).to_bytes(6, "big") + os.urandom(10))
    value[6] = (value[6] & 0x0F) | 0x70
    value[8] = (value[8] & 0x3F) | 0x80
    return str(UUID(bytes=bytes(value)))


@dataclass(slots=True)
class Call:
    """One request: its headers, its ids, the shape of its answer, and its body once that was read.

    Attributes:
        path: as the client wrote it, with the `/api/v1` prefix if it had one.
        route_path: the path that the routes know, always without the version.
        message_id: `Idempotency-Key`, or a new id.
        given_correlation: `X-Correlation-Id`; without it each command is the first of a correlation of its own.
    """

    path: str
    route_path: str
    shape: Shape
    headers: Mapping[bytes, bytes]
    message_id: str
    given_correlation: str | None
    repeated: bytes | None = None
    body: bytes = b""

    @classmethod
    def begin(cls, scope: Mapping[str, Any]) -> Call:
        """Reads the head of a request. Never raises: `check` judges it, so that a refusal has its shape."""
        headers: dict[bytes, bytes] = {}
        repeated = None
        for name, value in scope["headers"]:
            if name in headers and name in SINGLE_HEADERS:
                repeated = name
            headers[name] = value
        path = scope["path"]
        route_path, shape = path, Shape.BARE
        if path.startswith(ENVELOPE_PREFIX):
            route_path, shape = "/api/" + path[len(ENVELOPE_PREFIX) :], Shape.ENVELOPE
        elif path.startswith(REPLY_PREFIXES):
            shape = Shape.REPLY
        message_id = _printable(headers.get(b"idempotency-key")) or time_ordered_id()
        correlation_id = _printable(headers.get(b"x-correlation-id"))
        return cls(path, route_path, shape, headers, message_id, correlation_id, repeated)

    @property
    def correlation_id(self) -> str:
        """What the answer shows the caller for its own logs."""
        return self.given_correlation or self.message_id

    def check(self) -> None:
        """Refuses a head that is ambiguous or not printable.

        Raises:
            HttpProblem: 400.
        """
        if self.repeated is not None:
            raise malformed(f"the header {self.repeated.decode('latin-1')} is given more than once")
        for name in (b"idempotency-key", b"x-correlation-id"):
            self.text(name)

    def text(self, name: bytes) -> str | None:
        """A header as text, or None where it is absent.

        Raises:
            HttpProblem: 400, unless it is 1 to 128 printable ASCII characters.
        """
        value = self.headers.get(name)
        if value is None:
            return None
        text = _printable(value)
        if text is None:
            raise malformed(f"the header {name.decode('latin-1')} must be 1 to 128 printable ASCII characters")
        return text

    def context(self, access: Access, command: str | None = None) -> Context:
        """Who asks, and for which tenant; a worker may send `command` for a tenant that is not its own.

        Raises:
            HttpProblem: 400 for a malformed header, 401 without a valid key, 403 for another tenant's data.
        """
        caller = access.identify(self.headers, command)
        company = self.text(b"x-company-id")
        if company is not None and not TENANT_PATTERN.fullmatch(company):
            raise malformed("the header x-company-id must match [A-Za-z0-9_-]{1,64}")
        traceparent = self.headers.get(b"traceparent", b"")
        return Context(
            tenant=caller.tenant,
            message_id=self.message_id,
            principal=caller.principal,
            company=company,
            correlation_id=self.given_correlation,
            causation_id=self.text(b"x-causation-id"),
            actor=self.text(b"x-actor"),
            traceparent=traceparent.decode("ascii") if TRACEPARENT.fullmatch(traceparent) else None,
            claims_for=caller.claims_for,
        )


def call_of(scope: Mapping[str, Any]) -> Call:
    """The call that the edge attached to this request."""
    call: Call = scope[SCOPE_KEY]
    return call


def _printable(value: bytes | None) -> str | None:
    return value.decode("ascii") if value is not None and PRINTABLE.fullmatch(value) else None
