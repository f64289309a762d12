"""Starts servers and owners of servers for the tests of the embedded PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from infra.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[3]
OWNER = Path(__file__).with_name("owner.py")


@asynccontextmanager
async def running(data: Path, **kwargs: dict[int, Path]) -> AsyncIterator[tuple[EmbeddedPostgres, asyncpg.Connection]]:
    """A started server and a connection to it."""
    server = EmbeddedPostgres(data, **kwargs)
    connection = await asyncpg.connect(await server.start())
    try:
        yield server, connection
    finally:
        await connection.close()
        await server.stop()


@asynccontextmanager
async def owned_by_child(data: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A child process that owns the server and inserts rows, and the server's pid."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(OWNER),
        str(data),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        first = (await child.stdout.readline()).decode().split()
        yield child, int(first[0])
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


def permissions(path: str | Path) -> int:
    """The permission bits of a file or folder."""
    return stat.S_IMODE(os.stat(path).st_mode)


def exists(path: str | Path) -> bool:
    """Whether anything has this name."""
    return os.path.lexists(path)


async def read_until(child: asyncio.subprocess.Process, wanted: int) -> int:
    """The last acknowledged row, once there are `wanted`."""
    assert child.stdout is not None
    last = 0
    while last < wanted:
        last = int(await child.stdout.readline())
    return last


async def remaining(child: asyncio.subprocess.Process, last: int) -> int:
    """The last acknowledged row that a killed child still said."""
    assert child.stdout is not None
    whole = (await child.stdout.read()).decode().rpartition("\n")[0].split()
    return int(whole[-1]) if whole else last
