"""Assembles the HTTP entry point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from adapters.channels.callback import CallbackReader
from adapters.http.access import Access
from adapters.http.batches import batch_routes
from adapters.http.call import call_of
from adapters.http.callbacks import callback_routes
from adapters.http.circuits import circuit_routes
from adapters.http.commands import command_routes
from adapters.http.dead_letters import dead_letter_routes
from adapters.http.document import document
from adapters.http.door import Door
from adapters.http.events import event_routes
from adapters.http.health import HealthProbe, health_routes
from adapters.http.jobs import job_routes
from adapters.http.live_handshake import LiveFeeds, Places
from adapters.http.live_routes import live_routes
from adapters.http.live_session import LiveLimits
from adapters.http.live_tickets import ticket_routes
from adapters.http.log import log_routes
from adapters.http.middleware import BODY_DEADLINE, MAX_IN_FLIGHT, Edge
from adapters.http.notifications import notification_routes
from adapters.http.parts import USUAL_PATHS, LivePaths, Part
from adapters.http.presence import ClientGone
from adapters.http.problems import HttpProblem, field_errors, invalid, problem
from adapters.http.progress import progress_routes
from adapters.http.queues import queue_routes
from adapters.http.respond import respond_problem
from adapters.http.schedules import schedule_routes
from adapters.http.subscriptions import subscription_routes
from adapters.http.templates import template_routes
from adapters.http.web import web_files
from domain.tickets import Tickets
from handlers.gateway import Gateway
from handlers.live import Hub
from handlers.presence import Presence
from millrace.contracts.wire import MAX_BODY_BYTES

CLIENT_CLOSED_REQUEST = 499


def create_app(
    gateway: Gateway,
    *,
    access: Access,
    health: HealthProbe,
    metrics: Callable[[], bytes],
    hub: Hub,
    presence: Presence,
    tickets: Tickets,
    allowed_hosts: Iterable[str],
    allowed_origins: Iterable[str] = (),
    limits: LiveLimits | None = None,
    unserved: Collection[Part] = (),
    live_paths: LivePaths = USUAL_PATHS,
    callbacks: Mapping[str, CallbackReader] | None = None,
    max_body: int = MAX_BODY_BYTES,
    body_deadline: float = BODY_DEADLINE,
    max_in_flight: int = MAX_IN_FLIGHT,
    version: str,
) -> FastAPI:
    """The HTTP entry point in front of a gateway.

    Setting `app.state.shutdown` ends held calls and event streams; `serve` does so.

    Args:
        metrics: the metrics in the text format of Prometheus.
        hub: hands new events to those who follow.
        presence: who is connected.
        tickets: let browsers in that have no key.
        allowed_hosts: names that the service goes by; without a port, any port is meant.
        allowed_origins: origins of pages that may use the service besides its own.
        limits: of the live feed.
        unserved: parts without routes, because their module is switched off.
        live_paths: where the live feeds of the modules answer.
        callbacks: read what providers of notifications tell later, by the provider's name.
        max_body: largest body in bytes.
        body_deadline: seconds in which a body must have arrived.
        max_in_flight: requests that are answered at a time; more get 503.
    """
    app = FastAPI(
        title="Millrace",
        summary="Jobs and events on one ordered log",
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(
                Edge,
                allowed_hosts=tuple(allowed_hosts),
                allowed_origins=tuple(allowed_origins),
                max_body=max_body,
                body_deadline=body_deadline,
                max_in_flight=max_in_flight,
            )
        ],
    )
    app.state.shutdown = asyncio.Event()
    door = Door(gateway, access)
    limits = limits or LiveLimits()
    live = LiveFeeds(gateway, access, hub, presence, limits, Places(limits), tickets)
    app.router.routes.extend(command_routes(door))
    app.router.routes.extend([*live_routes(live, unserved, live_paths), web_files()])
    tracking = () if "progress" in unserved else (progress_routes(door),)
    callings = callback_routes(door, callbacks or {})
    notifying = () if "notifications" in unserved else (notification_routes(door), callings, template_routes(door))
    for router in (
        health_routes(access, health, metrics),
        job_routes(door),
        dead_letter_routes(door),
        batch_routes(door),
        queue_routes(door),
        circuit_routes(door),
        schedule_routes(door),
        *tracking,
        *notifying,
        event_routes(door, live),
        ticket_routes(door, tickets),
        subscription_routes(door),
        log_routes(door),
    ):
        app.include_router(router)
    app.add_exception_handler(HttpProblem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientGone, _on_client_gone)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    # FastAPI documents replacing this method as the way to extend the document.
    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)
    return respond_problem(call_of(request.scope), error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    refused = invalid("the parameters are not valid", field_errors(error.errors()))
    return respond_problem(call_of(request.scope), refused)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {404: "there is nothing at this path", 405: "the path has no such method"}
    detail = details.get(error.status_code, "the request cannot be answered")
    return respond_problem(call_of(request.scope), HttpProblem(problem(error.status_code, detail), error.headers))


async def _on_client_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)
