"""`serve`: one process of the service, from its settings until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from prometheus_client import start_http_server

from adapters.http.access import Access, ApiKey
from adapters.http.app import create_app
from adapters.http.live_session import LiveLimits
from adapters.http.server import serve as serve_http
from adapters.metrics import MeasuredGateway, Metrics
from adapters.tracing import Tracing
from handlers.gateway import Gateway
from handlers.persistence import end, persistently
from infra.bootstrap import System, build
from infra.channel_callbacks import build_callbacks
from infra.collector import calm_collector
from infra.composition import Role
from infra.embedded_postgres import EmbeddedPostgres
from infra.health import SystemHealth, refresh
from infra.logged import LoggedGateway
from infra.settings import Settings
from infra.settings_unused import without_effect
from infra.tracing import shut_down, tracer_provider
from infra.version import VERSION

STOP_SECONDS = 3.0
LAST_SPANS_SECONDS = 0.5
METRICS_SECONDS = 5.0
log = structlog.get_logger("service")
T = TypeVar("T")


async def serve(settings: Settings, roles: Sequence[Role], embedded: bool) -> None:
    """Runs the roles until SIGINT or SIGTERM, then ends within five seconds.

    Args:
        embedded: runs PostgreSQL in the data folder; otherwise `database_url` says where it is.
    """
    settings.require_key_off_loopback()
    calm_collector()
    announce(settings)
    shutdown = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, shutdown.set)
    postgres = EmbeddedPostgres(settings.data) if embedded or settings.database_url is None else None
    watch: asyncio.Task[None] | None = None
    try:
        if postgres is not None:
            dsn = await postgres.start()
            watch = asyncio.create_task(_keep_running(postgres))
        else:
            assert settings.database_url is not None
            dsn = settings.database_url.get_secret_value()
        await _run(settings, dsn, roles, shutdown, postgres is not None)
    finally:
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        if postgres is not None:
            await postgres.stop(timeout=STOP_SECONDS)


async def _run(settings: Settings, dsn: str, roles: Sequence[Role], shutdown: asyncio.Event, embedded: bool) -> None:
    metrics = Metrics(tenants=settings.modules.jobs.monitoring.tenant_label)
    spans = tracer_provider()

    def observed(gateway: Gateway, known: frozenset[str]) -> Gateway:
        return LoggedGateway(MeasuredGateway(gateway, metrics, known))

    tracing = Tracing(spans) if spans else None
    building = build(settings, dsn, roles, measured=observed, tracing=tracing, ended=metrics.times.count)
    system = await _unless(shutdown, building)
    if system is None:
        return
    system.start()
    gauges = asyncio.create_task(_refresh_gauges(metrics, system))
    log.info("started", action="started", roles=list(roles), version=VERSION)
    monitoring = settings.modules.jobs.monitoring
    try:
        if monitoring.enabled and not embedded:
            _serve_metrics(metrics, settings.host, monitoring.metrics_port)
        if "api" in roles:
            await _serve_http(settings, system, metrics, shutdown)
        else:
            await shutdown.wait()
    finally:
        gauges.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(system.stop(), STOP_SECONDS)
        if spans is not None:
            await shut_down(spans, LAST_SPANS_SECONDS)
        log.info("stopped", action="stopped")


def announce(settings: Settings) -> None:
    """Logs what the settings ask for and do not get.

    Raises:
        UnsupportedVendor: jobs are to travel or be kept by somebody who is not there.
    """
    for notice in settings.modules.jobs.require_supported():
        log.info(notice, action="settings_notice")
    for key, reason in without_effect(settings):
        log.warning(f"{key} has no effect: {reason}", action="setting_without_effect", setting=key)


async def _unless(shutdown: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work returns; None where the process was told to stop before, which ends the work."""
    working, told = asyncio.create_task(work), asyncio.create_task(shutdown.wait())
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if shutdown.is_set():
        await end(working)
    if working.cancelled() or (shutdown.is_set() and working.exception() is not None):
        return None
    return working.result()


def _serve_metrics(metrics: Metrics, host: str, port: int) -> None:
    """A port of its own for Prometheus, which processes without the `api` role have no other way to be scraped by."""
    try:
        start_http_server(port, host, metrics.registry)
    except OSError as error:
        log.warning("metrics are not served", action="metrics_unserved", host=host, port=port, error=str(error))


async def _serve_http(settings: Settings, system: System, metrics: Metrics, shutdown: asyncio.Event) -> None:
    keys = [
        ApiKey.of(key.key.get_secret_value(), key.tenant, claims_for=key.claims_for, metrics=key.metrics)
        for key in settings.api_keys
    ]
    app = create_app(
        system.gateway,
        access=Access(keys),
        health=SystemHealth(system),
        metrics=metrics.text,
        hub=system.hub,
        presence=system.presence,
        tickets=system.tickets,
        allowed_hosts=[*settings.allowed_hosts, settings.host],
        allowed_origins=settings.web_origins(),
        limits=LiveLimits(**settings.live.model_dump()),
        unserved=settings.modules.unserved(),
        live_paths=settings.modules.live_paths(),
        callbacks=build_callbacks(settings),
        version=VERSION,
    )
    await serve_http(
        app,
        settings.host,
        settings.port,
        shutdown,
        ready=lambda port: log.info("listening", action="listening", host=settings.host, port=port),
        message_bytes=settings.live.message_bytes,
    )


async def _refresh_gauges(metrics: Metrics, system: System) -> None:
    async def once() -> None:
        await refresh(metrics, system)

    await persistently("metrics", once, pause=METRICS_SECONDS)


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    """A server that ended by itself (its disk was full, somebody killed it) is started again."""

    async def once() -> None:
        code = await postgres.wait()
        log.error("embedded PostgreSQL ended and is started again", action="postgres_restart", code=code)
        await postgres.start()

    await persistently("postgres", once, pause=1.0)
