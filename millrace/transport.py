"""How messages reach the service: one protocol, spoken over HTTP or AMQP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, Protocol

GROUP = "millrace.transports"
Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """On whose behalf and because of what a message is sent. Commands of one origin may share a message."""

    tenant: str
    company: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    traceparent: str | None = None

    def in_name_of(self, tenant: str | None) -> Origin:
        """The same for another tenant, if one is named."""
        return self if tenant is None or tenant == self.tenant else replace(self, tenant=tenant)


class Transport(Protocol):
    """Carries commands and queries to the service and their replies back, any number at the same time.

    Bodies are JSON text. A reply is `{"ok": true, "result": …, "position": …}`, `{"ok": true, "results": […]}` for an
    array, or `{"ok": false, "error": problem}`: refusals are returned, not raised.
    """

    async def execute(
        self,
        name: str,
        body: bytes,
        origin: Origin,
        message_id: str,
        *,
        timeout: float,
        hold: float = 0.0,
        repeat: bool = True,
    ) -> Reply:
        """Sends command `name`; repeats it under the same `message_id` while nobody answers.

        Args:
            timeout: seconds until it gives up, beyond `hold`.
            hold: seconds that the service may keep the command before it answers.
            repeat: false sends it once.

        Raises:
            Unavailable: the command was not carried out.
            OutcomeUnknown: it may have been.
        """
        ...

    async def query(
        self,
        name: str,
        body: bytes,
        origin: Origin,
        *,
        timeout: float,
        hold: float = 0.0,
        min_position: str | None = None,
    ) -> Reply:
        """Asks query `name`, again and again until it is answered.

        Raises:
            Unavailable: no answer within `timeout` + `hold` seconds.
        """
        ...

    async def close(self) -> None:
        """Gives up the connection; calls in flight fail."""
        ...


def transport_for(url: str, api_key: str | None) -> Transport:
    """The transport that speaks the URL's protocol. Connects with the first message.

    Packages add others as entry points of the group `millrace.transports`, named after the URL's scheme.

    Raises:
        ValueError: no transport speaks it.
    """
    scheme = url.partition("://")[0]
    if scheme in ("http", "https"):
        from millrace.transport_http import HttpTransport

        return HttpTransport(url, api_key)
    if scheme in ("amqp", "amqps"):
        from millrace.transport_amqp import AmqpTransport

        return AmqpTransport(url)
    for found in entry_points(group=GROUP, name=scheme):
        transport: Transport = found.load()(url, api_key)
        return transport
    installed = sorted(each.name for each in entry_points(group=GROUP))
    known = ", ".join(f"{each}://" for each in ("http", "https", "amqp", "amqps", *installed))
    raise ValueError(f"{url!r} is not an address of Millrace: begin with one of {known}")
