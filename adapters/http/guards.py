"""What the edge lets through: which hosts, which browser origins, which bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from adapters.http.problems import forbidden, malformed, too_large, unsupported

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class HostGuard:
    """Lets through requests for the names that the service goes by, so that a rebound DNS name reaches nothing.

    An entry without a port admits every port; `*` admits every host.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(_bracketed(host.strip().lower()) for host in allowed)

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises `HttpProblem`: 400 without a host, 403 for a host that is not on the list."""
        host = headers.get(b"host", b"").decode("latin-1").strip().lower()
        if not host:
            raise malformed("the header host is missing")
        if not self._allowed.intersection((host, _without_port(host), "*")):
            raise forbidden("this service does not go by the name in the header host; allow it in the settings")


class OriginGuard:
    """Keeps the pages of other sites from acting through a visitor's browser."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(origin.strip().lower().rstrip("/") for origin in allowed)

    def listed(self, headers: Mapping[bytes, bytes]) -> str | None:
        """The request's origin where it is on the list, exactly as the browser wrote it."""
        origin = headers.get(b"origin", b"").decode("latin-1")
        return origin if origin.lower() in self._allowed else None

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises `HttpProblem`: 403 for an origin that is neither on the list nor this service itself."""
        if b"origin" not in headers or self.listed(headers):
            return
        origin = headers[b"origin"].decode("latin-1").lower()
        try:
            place = urlsplit(origin).netloc
        except ValueError:
            place = ""
        if not place or place != headers.get(b"host", b"").decode("latin-1").lower():
            raise forbidden("pages of this origin may not use the service; allow the origin in the settings")


def announced_length(headers: Mapping[bytes, bytes], limit: int) -> int | None:
    """The body's length in bytes, None where it is only known at its end.

    Raises:
        HttpProblem: 400 for a length that is not a number, 413 over the limit, 415 for a compressed body.
    """
    if b"transfer-encoding" in headers:
        length = None
    else:
        text = headers.get(b"content-length", b"0").strip()
        if not text.isdigit():
            raise malformed("the header content-length is not a number")
        # A number of many digits is over any limit; reading it as one would only cost time.
        length = int(text) if len(text) < 20 else limit + 1
        if length > limit:
            raise too_large(limit)
    if length != 0 and headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise unsupported("compressed bodies are not accepted")
    return length


def _bracketed(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
