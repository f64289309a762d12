"""A PostgreSQL of a test's own, to do things to that others must not see."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from infra.embedded_postgres import EmbeddedPostgres
from tests.faults.harness import family


@asynccontextmanager
async def embedded_postgres() -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    """A server and the URL of its database."""
    with tempfile.TemporaryDirectory(prefix="millrace-cut-") as folder:
        server = EmbeddedPostgres(Path(folder) / "data")
        try:
            yield server, await server.start()
        finally:
            await server.stop()


@asynccontextmanager
async def frozen(server: EmbeddedPostgres) -> AsyncIterator[None]:
    """A PostgreSQL that says nothing any more: its processes stand still, its sockets stay open."""
    assert server.pid is not None
    stopped = family.frozen(server.pid)
    try:
        yield
    finally:
        family.thaw(stopped)


async def killed(server: EmbeddedPostgres) -> None:
    """As by a power cut; `start` brings it back at the same address."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGQUIT)
    await server.wait()
