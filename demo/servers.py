"""A database and a virtual host of the demo's own on servers that others use too."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg
import httpx


@asynccontextmanager
async def own_database(url: str) -> AsyncIterator[str]:
    """The address of a new, empty database on the server of `url`; dropped at the end."""
    name = f"millrace_demo_{secrets.token_hex(4)}"
    await _execute(url, f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        await _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@asynccontextmanager
async def own_vhost(url: str, management: str) -> AsyncIterator[str]:
    """The address of a new virtual host on the broker of `url`, with all rights for its user; deleted at the end."""
    name = f"millrace-demo-{secrets.token_hex(4)}"
    broker, console = urlsplit(url), urlsplit(management)
    user = unquote(broker.username or "guest")
    auth = (unquote(console.username or user), unquote(console.password or broker.password or "guest"))
    base = urlunsplit(console._replace(netloc=console.netloc.rpartition("@")[2], path="/api"))
    async with httpx.AsyncClient(auth=auth, trust_env=False, timeout=30.0) as client:
        (await client.put(f"{base}/vhosts/{name}")).raise_for_status()
        try:
            rights = {"configure": ".*", "write": ".*", "read": ".*"}
            (await client.put(f"{base}/permissions/{name}/{quote(user, safe='')}", json=rights)).raise_for_status()
            yield urlunsplit(broker._replace(path=f"/{name}"))
        finally:
            await client.delete(f"{base}/vhosts/{name}")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
