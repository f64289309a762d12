"""`python -m tests.faults.twins.serve serve`: the service as it is started in production, but of a known-bad build."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path

import structlog

from adapters.http.server import serve as serve_http
from infra.bootstrap import build
from infra.composition import ROLES
from infra.logging import configure_logging
from infra.settings import load_settings
from tests.faults.twins.builds import BUILDS
from tests.support.running import app_of

log = structlog.get_logger("service")


async def run(port: int, data: Path, roles: str) -> None:
    """Runs until SIGINT or SIGTERM."""
    settings = load_settings(port=port, data=data)
    configure_logging(settings.logging)
    assert settings.database_url is not None
    twin = BUILDS[os.environ["FAULTS_TWIN"]]()
    shutdown = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, shutdown.set)
    chosen = [role for role in ROLES if role in roles.split(",")]
    system = await build(settings, settings.database_url.get_secret_value(), chosen, tracing=twin)
    await twin.prepare(system)
    system.start()
    log.info("started", action="started", roles=chosen, twin=type(twin).__name__)
    try:
        await serve_http(app_of(system), "127.0.0.1", port, shutdown, ready=lambda port: None)
    finally:
        await system.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--roles", default=",".join(ROLES))
    given = parser.parse_args()
    asyncio.run(run(given.port, given.data, given.roles))
