"""Whether the service lives, whether it can work, and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.access import Access
from adapters.http.call import call_of
from adapters.http.models.health import Healthy, Readiness
from adapters.http.operations import errors
from adapters.http.respond import encode

PROBE_DEADLINE = 2.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Part:
    """How one part of the service is.

    Attributes:
        state: `degraded` works without what it names; `down` keeps the service from its work.
        detail: one line for people, without secrets.
    """

    name: str
    state: Literal["ok", "degraded", "down"] = "ok"
    detail: str | None = None


class HealthProbe(Protocol):
    """Looks at the parts of the service."""

    async def parts(self) -> Sequence[Part]:
        """How each part is, now. An answer later than `PROBE_DEADLINE` seconds counts as down."""
        ...


def health_routes(access: Access, probe: HealthProbe, metrics: Callable[[], bytes]) -> APIRouter:
    """`/health`, `/health/live`, `/health/ready` for anyone, `/metrics` for whoever may see all tenants."""
    router = APIRouter(tags=["health"])

    async def live() -> Response:
        """The process answers."""
        return _json({"status": "healthy"})

    router.add_api_route("/health", live, response_model=Healthy, operation_id="health")
    router.add_api_route("/health/live", live, response_model=Healthy, operation_id="health_live")

    @router.get(
        "/health/ready",
        response_model=Readiness,
        operation_id="health_ready",
        responses={503: {"model": Readiness, "description": "A part that the service needs is down"}},
    )
    async def ready() -> Response:
        """Whether the service can do its work, part by part."""
        parts = await _look(probe)
        states = {part.state for part in parts}
        status = "not-ready" if "down" in states else "degraded" if "degraded" in states else "ready"
        body = {
            "status": status,
            "parts": {part.name: {"status": part.state, "detail": part.detail} for part in parts},
        }
        return _json(body, 503 if status == "not-ready" else 200)

    @router.get("/metrics", response_class=Response, operation_id="metrics", responses=errors() | _METRICS_DOCUMENT)
    async def read_metrics(request: Request) -> Response:
        """Metrics in the text format of Prometheus."""
        access.check_metrics(call_of(request.scope).headers)
        return Response(metrics(), headers={"Content-Type": METRICS_TYPE})

    return router


_METRICS_DOCUMENT: dict[int | str, dict[str, object]] = {
    200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


async def _look(probe: HealthProbe) -> Sequence[Part]:
    try:
        return await asyncio.wait_for(probe.parts(), PROBE_DEADLINE)
    except TimeoutError:
        return [Part("probe", "down", f"no answer within {PROBE_DEADLINE:g} seconds")]


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    return Response(encode(body), status, media_type="application/json")
