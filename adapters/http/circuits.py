"""Circuit breakers over REST."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.jobs import Reason
from adapters.http.models.circuit import CircuitReply
from adapters.http.operations import errors, takes
from adapters.http.respond import respond
from millrace.contracts.circuit import Circuit, CircuitPolicy


def circuit_routes(door: Door) -> APIRouter:
    """The routes of the circuit breakers."""
    router = APIRouter(tags=["circuits"], responses=errors())

    @router.get("/api/circuits", response_model=list[Circuit], operation_id="list_circuits")
    async def listing(request: Request) -> Response:
        """Every name that has a circuit breaker."""
        return respond(call_of(request.scope), (await door.query(request, "circuit.list", {})).result["circuits"])

    @router.get("/api/circuits/{name}", response_model=Circuit, operation_id="get_circuit")
    async def get(request: Request, name: str) -> Response:
        """The circuit breaker of the jobs of a name."""
        found = await door.query(request, "circuit.get", {"name": name})
        return respond(call_of(request.scope), found.result["circuit"])

    @router.put(
        "/api/circuits/{name}",
        response_model=CircuitReply,
        operation_id="configure_circuit",
        openapi_extra=takes(CircuitPolicy),
    )
    async def configure(request: Request, name: str) -> Response:
        """Gives the jobs of a name a circuit breaker, in place of the one that they have."""
        call = call_of(request.scope)
        done = await door.execute(request, "circuit.configure", {**object_of(call), "name": name})
        return respond(call, done.result, position=done.position)

    @router.post(
        "/api/circuits/{name}/reset",
        response_model=CircuitReply,
        operation_id="reset_circuit",
        openapi_extra=takes(Reason, required=False),
    )
    async def reset(request: Request, name: str) -> Response:
        """Closes the circuit by hand."""
        call = call_of(request.scope)
        done = await door.execute(request, "circuit.reset", {**object_of(call, optional=True), "name": name})
        return respond(call, done.result, position=done.position)

    return router
