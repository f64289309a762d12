"""Reads a small thing from a URL that a message names: over TLS, from public addresses, bounded in time and size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable

import httpcore

from adapters.channels.provider import reason_of
from adapters.channels.public_address import AddressRefused, NameUnknown, Network, PublicNetwork, Resolve, resolve

MAX_BYTES = 65_536


class FetchFailed(Exception):
    """Raised when there is nothing to be had from a URL now.

    Attributes:
        reason: what went wrong, without the URL, which may hold a token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PublicFetch:
    """Follows no redirect and asks no proxy of the environment, which would decide where a call goes.

    Args:
        timeout: seconds for one call altogether.
        allowed: networks that are reached although they are not public.
        tls: what certificates to trust; default: the system's.
        resolve: name and port to addresses.
    """

    def __init__(
        self,
        *,
        timeout: float = 5.0,
        allowed: Iterable[Network] = (),
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        self._timeout, self._network = timeout, PublicNetwork(allowed, resolve)
        self._tls = tls or httpcore.default_ssl_context()

    async def __call__(self, url: str) -> bytes:
        """What is answered there with 200.

        Args:
            url: begins with `https://`, which the caller has made sure of.

        Raises:
            FetchFailed: there is no such answer, or it is larger than 64 KiB.
        """
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        try:
            # Such calls are rare: a connection that is kept would be a stale one.
            async with (
                asyncio.timeout(self._timeout),
                httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=self._network) as pool,
                pool.stream("GET", url, extensions={"timeout": limits}) as response,
            ):
                if response.status != 200:
                    raise FetchFailed(f"the answer was {response.status}")
                return await _bounded(response)
        except TimeoutError:
            raise FetchFailed(f"no answer within {self._timeout:g} s") from None
        except (AddressRefused, NameUnknown) as error:
            raise FetchFailed(str(error)) from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise FetchFailed(reason_of(f"{type(error).__name__}: {error}", ())) from None


async def _bounded(response: httpcore.Response) -> bytes:
    content = bytearray()
    async for part in response.aiter_stream():
        content += part
        if len(content) > MAX_BYTES:
            raise FetchFailed(f"the answer has more than {MAX_BYTES} bytes")
    return bytes(content)
