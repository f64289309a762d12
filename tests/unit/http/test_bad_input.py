"""Every malformed request gets a typed problem, in the shape of its route, and nothing of it reaches the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.unit.http.conftest import MAX_BODY, client_of
from tests.unit.http.memory_gateway import MemoryGateway

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b'{"name": ', "not JSON"),
        (b"{'name': 1}", "not JSON"),
        (b'{"name": NaN}', "not JSON"),
        (b'{"name": "x", "data": {"n": 1e999}}', "out of range"),
        (b'{"n": ' + b"9" * 250 + b"e99}", "out of range"),
        (b'{"name": "\xff\xfe"}', "not UTF-8"),
        ('{"name": "x"}'.encode("utf-16"), "not UTF-8"),
        (b'{"name": "\\ud800"}', "not JSON"),
        (b"[" * 3_000, "not JSON"),
        (b'{"a":' * 600 + b"1" + b"}" * 600, "not JSON"),
    ],
)
async def test_text_that_is_not_json_is_malformed(client: httpx.AsyncClient, body: bytes, words: str) -> None:
    for path in ("/api/jobs", "/api/commands/job.enqueue", "/api/queries/job.get", "/api/v1/jobs"):
        answer = await client.post(path, content=body, headers=JSON)
        assert answer.status_code == 400
        assert words in problem_of(answer)["detail"]
        assert problem_of(answer)["code"] == "malformed"


async def test_numbers_within_a_double_pass(client: httpx.AsyncClient) -> None:
    body = b'{"name": "x", "data": {"n": 1e308, "s": "1e999", "digits": "' + b"9" * 250 + b'"}}'
    assert (await client.post("/api/jobs", content=body, headers=JSON)).status_code == 201


@pytest.mark.parametrize("body", [{}, {"name": 5}, {"name": "x", "delay": -1}, {"name": "x", "wat": 1}])
async def test_wrong_types_are_invalid(client: httpx.AsyncClient, body: object) -> None:
    for path in ("/api/jobs", "/api/commands/job.enqueue"):
        answer = await client.post(path, json=body)
        assert (answer.status_code, problem_of(answer)["code"]) == (422, "invalid")


@pytest.mark.parametrize("body", [[], [{"name": "x"}], "text", 5, None])
async def test_rest_takes_one_object(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/api/jobs", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422


async def test_an_unknown_command_is_named_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/commands/job.explode", json={})
    assert answer.status_code == 404
    assert answer.json() == {"ok": False, "error": problem_of(answer)}
    assert problem_of(answer)["code"] == "unknown-command"
    assert problem_of(await client.post("/api/queries/job.explode", json={}))["code"] == "unknown-query"


async def test_one_bad_item_of_a_batch_leaves_the_others_unharmed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/commands/job.enqueue", json=[{"name": "a"}, {"name": 5}, {"name": "b"}])
    assert answer.status_code == 200
    assert [item["ok"] for item in answer.json()["results"]] == [True, False, True]


async def test_a_body_over_the_limit_is_refused_by_its_announced_length(
    client: httpx.AsyncClient, gateway: MemoryGateway
) -> None:
    answer = await client.post("/api/jobs", content=b" " * (MAX_BODY + 1), headers=JSON)
    assert (answer.status_code, problem_of(answer)["code"]) == (413, "too-large")
    assert gateway.contexts == []


async def test_a_body_without_a_length_is_read_only_to_the_limit(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 1_024
            yield b" " * 1_024

    answer = await client.post("/api/jobs", content=endless(), headers=JSON)
    assert answer.status_code == 413
    # What comes after the limit is thrown away, and only so much of it that a client can read its answer.
    assert sent <= 5 * MAX_BODY + 2 * 1_024


async def test_a_body_of_exactly_the_limit_is_taken(client: httpx.AsyncClient) -> None:
    body = b'{"name": "x"}'.ljust(MAX_BODY)
    assert (await client.post("/api/jobs", content=body, headers=JSON)).status_code == 201


async def test_a_body_that_never_ends_is_given_up(make_app: Callable[..., FastAPI]) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with client_of(make_app(body_deadline=0.05)) as client:
        answer = await client.post("/api/jobs", content=stuck(), headers=JSON)
    assert (answer.status_code, problem_of(answer)["code"]) == (408, "timeout")


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=latin-1"],
)
async def test_only_json_is_taken(client: httpx.AsyncClient, content_type: str) -> None:
    for path in ("/api/jobs", "/api/commands/job.enqueue", "/api/commands"):
        answer = await client.post(path, content=b'{"name": "x"}', headers={"Content-Type": content_type})
        assert (answer.status_code, problem_of(answer)["code"]) == (415, "unsupported-media-type")


async def test_a_charset_of_utf8_is_json(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": 'Application/JSON; Charset="UTF-8"'}
    assert (await client.post("/api/jobs", content=b'{"name": "x"}', headers=headers)).status_code == 201


async def test_cloudevents_belong_to_their_own_route(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/cloudevents+json"}
    assert (await client.post("/api/jobs", content=b'{"name": "x"}', headers=headers)).status_code == 415


async def test_a_compressed_body_is_not_unpacked(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/jobs", content=b"\x1f\x8b", headers={**JSON, "Content-Encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Idempotency-Key", "k" * 129),
        ("Idempotency-Key", "tab\there"),
        ("X-Correlation-Id", "\u00e9"),
        ("X-Causation-Id", "c" * 129),
        ("X-Actor", ""),
        ("X-Tenant-Id", "no spaces"),
        ("X-Tenant-Id", "t" * 65),
        ("X-Tenant-Id", "acme\n"),
        ("X-Company-Id", "a/b"),
    ],
)
async def test_headers_that_cannot_be_read_are_refused(client: httpx.AsyncClient, name: str, value: str) -> None:
    answer = await client.post("/api/jobs", json={"name": "x"}, headers={name.encode(): value.encode("latin-1")})
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "malformed")


@pytest.mark.parametrize("name", ["Host", "Idempotency-Key", "X-Tenant-Id", "Authorization", "Content-Type"])
async def test_a_header_that_counts_may_come_once(client: httpx.AsyncClient, name: str) -> None:
    headers = [("Host", "localhost"), ("Content-Type", "application/json"), (name, "localhost"), (name, "127.0.0.1")]
    answer = await client.post("/api/jobs", content=b'{"name": "x"}', headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("query", ["status=nope", "limit=0", "limit=x", "limit=1001", "statuss=pending", "cursor="])
async def test_parameters_are_checked(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/api/jobs?{query}")
    if query == "cursor=":
        assert answer.status_code == 200
        return
    assert answer.status_code == 422
    assert problem_of(answer)["errors"]
    assert "input" not in problem_of(answer)["errors"][0]


async def test_paths_and_methods_that_do_not_exist(client: httpx.AsyncClient) -> None:
    missing = await client.get("/nothing")
    assert (missing.status_code, problem_of(missing)["code"]) == (404, "not-found")
    wrong = await client.put("/api/jobs", json={})
    assert (wrong.status_code, problem_of(wrong)["code"]) == (405, "method-not-allowed")
    assert "POST" in wrong.headers["Allow"] or "GET" in wrong.headers["Allow"]


async def test_a_mistake_of_the_service_tells_nothing_of_itself(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/commands/test.broken", json={})
    assert (answer.status_code, problem_of(answer)["code"]) == (500, "internal")
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The problem in any of the three shapes."""
    body: dict[str, Any] = answer.json()
    if "meta" in body:
        assert answer.headers["Content-Type"] == "application/json"
        problem: dict[str, Any] = body["errors"][0]
        return problem
    if "ok" in body:
        refused: dict[str, Any] = body["error"]
        return refused
    assert answer.headers["Content-Type"] == "application/problem+json"
    return body
