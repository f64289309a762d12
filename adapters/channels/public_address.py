"""Which network addresses a caller's URL may lead to: public ones, and those that the operator allows."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Not private by the registries, yet inside somebody's house: Azure's metadata, and IPv6 that carries an IPv4 address.
INSIDE: tuple[Network, ...] = (
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("::/96"),
    ipaddress.ip_network("::ffff:0:0:0/96"),
    ipaddress.ip_network("64:ff9b::/96"),
    ipaddress.ip_network("64:ff9b:1::/48"),
    ipaddress.ip_network("2001::/32"),
    ipaddress.ip_network("2002::/16"),
    ipaddress.ip_network("5f00::/16"),
    ipaddress.ip_network("fec0::/10"),
)
MAX_ADDRESSES = 4


class AddressRefused(Exception):
    """Raised when a name leads to an address that is not public. It does not say to which: that would tell a caller
    how the network inside is laid out.

    Attributes:
        host: the name or address in the URL.
    """

    def __init__(self, host: str) -> None:
        super().__init__("the address leads to a network that is not public")
        self.host = host


class NameUnknown(Exception):
    """Raised when a host name cannot be resolved, now or ever.

    Attributes:
        host: the name.
    """

    def __init__(self, host: str) -> None:
        super().__init__("the host name cannot be resolved")
        self.host = host


def is_public(text: str) -> bool:
    """Whether an address is one that everybody on the internet means the same host by."""
    address = _plain(text)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in INSIDE if network.version == address.version)
    )


def _plain(text: str) -> Address:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return ipaddress.IPv6Address(int(address))
    return address


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, by the system's resolver, which also reads `127.1`, `0x7f000001` and the like.

    Raises:
        NameUnknown: it has none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NameUnknown(host) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only.

    The name is resolved here and the connection goes to the very address that was checked, so that a name server that
    answers differently the second time is never asked a second time. TLS still verifies the name.

    Args:
        allowed: networks that are reached although they are not public.
        resolve: name and port to addresses.
    """

    def __init__(self, allowed: Iterable[Network] = (), resolve: Resolve = resolve) -> None:
        self._allowed, self._resolve = tuple(allowed), resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first of the host's addresses that answers.

        Raises:
            AddressRefused: one of its addresses is not public; not even the public ones are tried then.
            NameUnknown: it has none.
        """
        addresses = await self._resolve(host.strip("[]"), port)
        if not addresses:
            raise NameUnknown(host)
        if not all(self._may_reach(address) for address in addresses):
            raise AddressRefused(host)
        *first, last = addresses[:MAX_ADDRESSES]
        for address in first:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

    def _may_reach(self, text: str) -> bool:
        address = _plain(text)
        allowed = any(address in network for network in self._allowed if network.version == address.version)
        return allowed or is_public(text)
