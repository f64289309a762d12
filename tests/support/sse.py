"""Readers of server-sent events, as a browser would be one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

DEADLINE = 60.0


class Told(NamedTuple):
    """One whole server-sent event."""

    name: str
    position: str
    data: Any


@asynccontextmanager
async def streaming(url: str, tenant: str, pattern: str, after: str = "head") -> AsyncIterator[AsyncIterator[Told]]:
    """The tenant's events as a browser would see them; nothing is read that is not asked for."""
    headers = {"X-Tenant-Id": tenant, "Last-Event-ID": after}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=DEADLINE, trust_env=False) as client,
        client.stream("GET", "/api/events", params={"pattern": pattern}) as response,
    ):
        response.raise_for_status()
        yield told(response)


async def told(response: httpx.Response) -> AsyncIterator[Told]:
    """The whole events until the stream ends, however it does."""
    fields: dict[str, str] = {}
    try:
        async for line in response.aiter_lines():
            name, _, value = line.partition(":")
            if line:
                fields[name] = value.removeprefix(" ")
                continue
            if "data" in fields:
                yield Told(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
            fields = {}
    except httpx.TransportError:
        return


async def until(stream: AsyncIterator[Told], name: str) -> list[Told]:
    """The events up to the first of that name."""
    found: list[Told] = []
    async with asyncio.timeout(DEADLINE):
        async for one in stream:
            found.append(one)
            if one.name == name:
                break
    return found
