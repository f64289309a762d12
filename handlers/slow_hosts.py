"""Calls to hosts that hang: they give their places to others, and each such host is called by few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

HUNG_SECONDS = 1.0
MOST_HUNG_OF_A_HOST = 4


class HostHangs(Exception):
    """Raised when several calls to a host are under way that it has not answered; another one would only wait too."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} does not answer")
        self.host = host


class _Call(NamedTuple):
    channel: str
    host: str
    since: float


class SlowHosts:
    """What is under way to hosts that addresses name; addresses that are no URLs name none.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls: dict[int, _Call] = {}
        self._next = 0

    def hung(self, channel: str) -> int:
        """How many calls through the channel have waited for a second or longer."""
        return sum(call.channel == channel for call in self._hung())

    @contextmanager
    def calling(self, channel: str, address: str) -> Iterator[None]:
        """Counts a call to the address, as long as the block lasts.

        Raises:
            HostHangs: enough others wait for that host already.
        """
        host = _host_of(address)
        if host is None:
            yield
            return
        if sum(call.host == host for call in self._hung()) >= MOST_HUNG_OF_A_HOST:
            raise HostHangs(host)
        self._next += 1
        number = self._next
        self._calls[number] = _Call(channel, host, self._now())
        try:
            yield
        finally:
            del self._calls[number]

    def _hung(self) -> Iterator[_Call]:
        until = self._now() - HUNG_SECONDS
        return (call for call in self._calls.values() if call.since <= until)


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).netloc or None
    except ValueError:
        return None
