"""Host and origin allow-lists, keys and tenants, and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from adapters.http.access import Access, ApiKey
from adapters.http.middleware import Edge
from millrace.contracts.operations import WORKING
from tests.unit.http.conftest import client_of
from tests.unit.http.memory_gateway import MemoryGateway


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:80", "exact.example:8443"]
)
async def test_the_service_answers_to_its_names(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "exact.example", "exact.example:1", "[::2]", "x@localhost", "*"]
)
async def test_another_name_is_refused(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/health", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert host not in answer.text or host == "*"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "", "http://[x"])
async def test_a_foreign_page_changes_nothing(client: httpx.AsyncClient, gateway: MemoryGateway, origin: str) -> None:
    for method, path in (("POST", "/api/jobs"), ("POST", "/api/commands/job.enqueue"), ("DELETE", "/api/jobs/1")):
        answer = await client.request(method, path, json={"name": "x"}, headers={"Origin": origin})
        assert answer.status_code == 403
    assert gateway.contexts == []


async def test_a_foreign_page_cannot_read(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/jobs", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_the_own_page_and_a_listed_one_may(client: httpx.AsyncClient) -> None:
    own = await client.post("/api/jobs", json={"name": "x"}, headers={"Origin": "http://localhost"})
    assert own.status_code == 201
    listed = await client.post("/api/jobs", json={"name": "x"}, headers={"Origin": "https://app.example"})
    assert listed.status_code == 201
    assert listed.headers["access-control-allow-origin"] == "https://app.example"


async def test_a_listed_page_gets_its_preflight(client: httpx.AsyncClient) -> None:
    headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = await client.options("/api/jobs", headers={**headers, "Origin": "https://app.example"})
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-headers"] == "content-type"
    foreign = await client.options("/api/jobs", headers={**headers, "Origin": "https://evil.example"})
    assert foreign.status_code == 405
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    ("host", "origin", "closed"),
    [
        ("localhost", "https://evil.example", True),
        ("evil.example", "http://evil.example", True),
        ("localhost", "https://app.example", False),
    ],
)
async def test_a_websocket_of_a_foreign_page_is_closed_before_it_opens(host: str, origin: str, closed: bool) -> None:
    sent: list[dict[str, Any]] = []
    passed: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["path"])

    edge = Edge(inner, allowed_hosts=["localhost"], allowed_origins=["https://app.example"], max_body=1)
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    await edge({"type": "websocket", "path": "/ws", "headers": headers}, receive, send)
    assert bool(sent) is closed
    assert bool(passed) is not closed


async def test_every_answer_carries_the_same_headers(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/nothing", "/api/jobs?limit=x"):
        headers = (await client.get(path, headers={"X-Correlation-Id": "c-1"})).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert headers["x-correlation-id"] == "c-1"


async def test_headers_become_the_context(client: httpx.AsyncClient, gateway: MemoryGateway) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {
        "Idempotency-Key": "k-1", "X-Tenant-Id": "acme", "X-Company-Id": "north", "X-Correlation-Id": "c-1",
        "X-Causation-Id": "e-1", "X-Actor": "ann", "traceparent": trace,
    }  # fmt: skip
    await client.post("/api/commands/job.enqueue", json={"name": "x"}, headers=headers)
    (context,) = gateway.contexts
    assert (context.tenant, context.message_id, context.company, context.actor) == ("acme", "k-1", "north", "ann")
    assert (context.correlation_id, context.causation_id, context.traceparent) == ("c-1", "e-1", trace)


async def test_a_context_without_headers_has_defaults(client: httpx.AsyncClient, gateway: MemoryGateway) -> None:
    response = await client.post("/api/jobs", json={"name": "x"}, headers={"traceparent": "00-zz-zz-01"})
    (context,) = gateway.contexts
    assert (context.tenant, context.principal, context.traceparent) == ("default", "anonymous", None)
    # Commands that happen to share a request must not share a correlation; the answer only shows the request's id.
    assert context.correlation_id is None
    assert response.headers["x-correlation-id"] == context.message_id
    assert context.message_id[14] == "7"


async def test_with_keys_the_key_chooses_the_tenant(make_app: Callable[..., FastAPI], gateway: MemoryGateway) -> None:
    access = Access([ApiKey.of("secret-a", "acme", "ci"), ApiKey.of("secret-b", "beta")])
    async with client_of(make_app(access)) as client:
        for headers in ({"Authorization": "Bearer secret-a"}, {"X-API-Key": "secret-a", "X-Tenant-Id": "acme"}):
            assert (await client.get("/api/jobs", headers=headers)).status_code == 200
        assert {(each.tenant, each.principal) for each in gateway.contexts} == {("acme", "ci")}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong-secret"}, 401),
        ({"Authorization": "Basic secret-a"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": "secret-a", "X-Tenant-Id": "beta"}, 403),
        ({"X-API-Key": "secret-a", "X-Tenant": "beta"}, 403),
    ],
)
async def test_without_the_right_key_nothing_is_reached(
    make_app: Callable[..., FastAPI], gateway: MemoryGateway, headers: dict[str, str], status: int
) -> None:
    async with client_of(make_app(Access([ApiKey.of("secret-a", "acme")]))) as client:
        for path in ("/api/jobs", "/api/jobs/1", "/api/events", "/metrics", "/api/why/1", "/api/subscriptions"):
            answer = await client.get(path, headers=headers)
            assert answer.status_code == status
            assert "secret" not in answer.text
        for path in ("/api/commands/job.enqueue", "/api/queries/job.get", "/api/jobs", "/api/events"):
            assert (await client.post(path, json={}, headers=headers)).status_code == status
        assert (await client.get("/health/ready")).status_code == 200
    assert gateway.contexts == []


async def test_a_key_for_workers_of_several_tenants_reaches_their_jobs_and_nothing_else(
    make_app: Callable[..., FastAPI], gateway: MemoryGateway
) -> None:
    keys = [ApiKey.of("pool", "ops", "pool", ["acme"]), ApiKey.of("all", "ops", "all", ["*"]), ApiKey.of("one", "ops")]
    async with client_of(make_app(Access(keys))) as client:

        async def status(key: str, path: str, tenant: str) -> int:
            headers = {"X-API-Key": key, "X-Tenant-Id": tenant}
            return (await client.post(path, json={}, headers=headers)).status_code

        for command in sorted(WORKING):
            assert await status("pool", f"/api/commands/{command}", "acme") != 403
            assert await status("pool", f"/api/commands/{command}", "beta") == 403
            assert await status("all", f"/api/commands/{command}", "beta") != 403
            assert await status("one", f"/api/commands/{command}", "acme") == 403
        assert {each.tenant for each in gateway.contexts} == {"acme", "beta"}
        assert {each.claims_for for each in gateway.contexts} == {()}, "a right that is used once is not used again"
        for path in (
            "/api/commands/job.claim",
            "/api/commands/job.cancel",
            "/api/queries/job.get",
            "/api/queues/a/pause",
        ):
            assert await status("all", path, "acme") == 403
        assert await status("all", "/api/commands/job.claim", "ops") != 403
        assert gateway.contexts[-1].claims_for == ("*",)


async def test_metrics_of_all_tenants_are_for_a_key_that_may_see_them(make_app: Callable[..., FastAPI]) -> None:
    keys = [ApiKey.of("one", "acme", claims_for=["*"]), ApiKey.of("scraper", metrics=True)]
    async with client_of(make_app(Access(keys))) as client:
        refused = await client.get("/metrics", headers={"X-API-Key": "one"})
        assert (refused.status_code, "monitoring port" in refused.json()["detail"]) == (403, True)
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": "Bearer scraper"})).status_code == 200


def test_a_key_never_shows_itself() -> None:
    assert "digest" not in repr(ApiKey.of("secret"))


async def test_another_tenants_job_looks_like_a_missing_one(client: httpx.AsyncClient) -> None:
    made = (await client.post("/api/jobs", json={"name": "x"}, headers={"X-Tenant-Id": "a"})).json()["job_id"]
    foreign = await client.get(f"/api/jobs/{made}", headers={"X-Tenant": "b"})
    missing = await client.get("/api/jobs/nothing", headers={"X-Tenant": "b"})
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"] == missing.json()["detail"]


async def test_more_requests_than_the_service_can_answer_are_told_to_wait(make_app: Callable[..., FastAPI]) -> None:
    async with client_of(make_app(max_in_flight=0)) as client:
        answer = await client.get("/api/jobs")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
