"""What the routes answer: jobs, commands, the log, health, the envelope and the document."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from adapters.http.health import Part
from tests.unit.http.conftest import Probe
from tests.unit.http.memory_gateway import MemoryGateway

EVENT = {
    "specversion": "1.0",
    "id": "ce-1",
    "source": "/shop",
    "type": "millrace.job.enqueue.v1",
    "data": {"name": "x"},
}


async def test_a_job_is_enqueued_read_and_canceled(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/jobs", json={"name": "transcribe", "payload": {"file_id": "42"}, "priority": 5})
    assert made.status_code == 201
    assert set(made.json()) == {"job_id"}
    assert made.headers["X-Position"] == "e1-1"
    read = (await client.get(f"/api/jobs/{made.json()['job_id']}", headers={"X-Min-Position": "e1-1"})).json()
    assert read["data"] == read["payload"] == {"file_id": "42"}
    assert read["processed_at"] is None
    ended = await client.delete(f"/api/jobs/{made.json()['job_id']}?reason=changed+my+mind")
    assert ended.json() == {"success": True}


async def test_lists_are_arrays_that_link_to_the_next_page(client: httpx.AsyncClient) -> None:
    for index in range(5):
        await client.post("/api/jobs", json={"name": f"j{index}"})
    for prefix in ("/api/jobs", "/api/v1/jobs"):
        url, names = f"{prefix}?status=pending&limit=2", []
        while url:
            page = await client.get(url)
            rows = page.json()["data"] if "v1" in prefix else page.json()
            names += [row["name"] for row in rows]
            url = page.links.get("next", {}).get("url", "")
            assert not url or url.startswith(f"{prefix}?")
        assert names == ["j0", "j1", "j2", "j3", "j4"]


async def test_active_means_processing(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/jobs?status=active")).json() == []


async def test_a_repeated_command_gets_the_same_answer(client: httpx.AsyncClient, gateway: MemoryGateway) -> None:
    key = {"Idempotency-Key": "k"}
    answers = [await client.post("/api/commands/job.enqueue", json={"name": "x"}, headers=key) for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    assert len(gateway.jobs) == 1
    other = await client.post("/api/commands/job.enqueue", json={"name": "y"}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency-mismatch")


async def test_a_query_waits_for_a_position_or_says_it_is_behind(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/queries/job.stats", json={}, headers={"X-Min-Position": "e1-9"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "behind")


async def test_a_command_comes_as_a_cloudevent(client: httpx.AsyncClient, gateway: MemoryGateway) -> None:
    headers = {"Content-Type": "application/cloudevents+json"}
    answer = await client.post("/api/commands", content=json.dumps(EVENT), headers=headers)
    assert answer.json()["ok"] is True
    assert gateway.contexts[-1].message_id == "ce-1"


async def test_a_batch_of_cloudevents_keeps_its_order(client: httpx.AsyncClient, gateway: MemoryGateway) -> None:
    published = {**EVENT, "type": "event.publish", "data": {"event_type": "shop.sold"}}
    batch = [
        EVENT, {**EVENT, "id": "ce-2"}, {**published, "id": "ce-3"}, {"id": "no event"},
        {**EVENT, "id": "ce-4", "tenant": "other"}, {**EVENT, "id": "ce-5"},
    ]  # fmt: skip
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    answer = await client.post("/api/commands", content=json.dumps(batch), headers=headers)
    results = answer.json()["results"]
    assert [item["ok"] for item in results] == [True, True, True, False, False, True]
    assert [item["error"]["status"] for item in results if not item["ok"]] == [422, 403]
    assert [event["eventtype"] for event in gateway.events] == [
        "job.enqueued",
        "job.enqueued",
        "shop.sold",
        "job.enqueued",
    ]


@pytest.mark.parametrize("value", [[], {}, {**EVENT, "specversion": "0.3"}, {**EVENT, "data": [1]}, None])
async def test_what_is_no_cloudevent_is_invalid(client: httpx.AsyncClient, value: object) -> None:
    headers = {"Content-Type": "application/cloudevents+json"}
    answer = await client.post("/api/commands", content=json.dumps(value), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


async def test_history_pages_by_version(client: httpx.AsyncClient, gateway: MemoryGateway) -> None:
    id = (await client.post("/api/jobs", json={"name": "x"})).json()["job_id"]
    await gateway.record("job.started", gateway.contexts[-1], id, {})
    first = await client.get(f"/api/jobs/{id}/history?limit=1")
    assert [event["version"] for event in first.json()] == [1]
    second = await client.get(first.links["next"]["url"])
    assert [event["version"] for event in second.json()] == [2]
    assert len((await client.get(f"/api/why/{id}")).json()) == 2


@pytest.mark.parametrize("path", ["/api/jobs/7?at=3", "/api/job/7?at=3"])
async def test_the_state_of_a_time_is_read_by_either_form_of_the_kind(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).json() == {"kind": "job", "id": "7", "version": 1, "state": {"at": "3"}}


async def test_a_kind_that_ends_in_s_is_left_alone(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/news/7")).json()["kind"] == "news"


async def test_subscriptions_over_rest(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/subscriptions", json={"name": "s", "pattern": "job.#"})
    assert (made.status_code, made.json()["command"]) == (201, "Subscribe")
    paused = await client.patch("/api/subscriptions/s", json={"active": False})
    assert paused.json() == {"name": "s", "command": "SetActive"}
    moved = await client.post("/api/subscriptions/s/acknowledge", json={"position": "e1-1"})
    assert moved.json() == {"name": "s", "command": "Acknowledge"}
    assert (await client.get("/api/subscriptions")).json() == []


async def test_the_envelope_surrounds_success_and_error(client: httpx.AsyncClient) -> None:
    good = (await client.get("/api/v1/jobs", headers={"X-Correlation-Id": "c-1"})).json()
    assert (good["status"], good["data"], good["errors"]) == ("success", [], [])
    assert (good["meta"]["version"], good["meta"]["correlation_id"]) == ("1.0", "c-1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", good["meta"]["timestamp"])
    for path, status in (("/api/v1/jobs/none", 404), ("/api/v1/jobs?limit=x", 422), ("/api/v1/no/such/route", 404)):
        bad = await client.get(path)
        assert bad.status_code == status
        assert (bad.json()["status"], bad.json()["data"], bad.json()["errors"][0]["status"]) == ("error", None, status)
    done = await client.post("/api/v1/commands/job.enqueue", json=[{"name": "x"}, {}])
    assert [item["ok"] for item in done.json()["data"]["results"]] == [True, False]


async def test_health_tells_live_from_ready(client: httpx.AsyncClient, probe: Probe) -> None:
    assert (await client.get("/health")).json() == {"status": "healthy"}
    probe.states = [Part("store"), Part("broker", "degraded", "no connection")]
    degraded = await client.get("/health/ready")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    probe.states = [Part("store", "down", "no connection")]
    down = await client.get("/health/ready")
    assert (down.status_code, down.json()["parts"]["store"]["status"]) == (503, "down")
    assert (await client.get("/health/live")).status_code == 200


async def test_metrics_are_text_for_prometheus(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "millrace_up 1" in answer.text


def test_the_document_resolves_and_names_every_operation_once(app: FastAPI) -> None:
    document = app.openapi()
    for section, name in re.findall(r'"#/components/(\w+)/([^"]+)"', json.dumps(document)):
        assert name in document["components"][section]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert {"enqueue_job", "command_job_claim", "query_log_read", "v1_list_jobs"} <= set(ids)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert path.startswith("/health") or "422" in operation["responses"]
            assert operation["description"]


async def test_answers_are_what_the_document_says(app: FastAPI, client: httpx.AsyncClient) -> None:
    id = (await client.post("/api/jobs", json={"name": "x"})).json()["job_id"]
    cases: list[tuple[str, str, str, Any]] = [
        ("POST", "/api/jobs", "/api/jobs", {"name": "x"}),
        ("GET", "/api/jobs", "/api/jobs", None),
        ("GET", f"/api/jobs/{id}", "/api/jobs/{id}", None),
        ("GET", "/api/jobs/none", "/api/jobs/{id}", None),
        ("GET", f"/api/jobs/{id}/history", "/api/{kind}/{id}/history", None),
        ("GET", f"/api/v1/jobs/{id}", "/api/v1/jobs/{id}", None),
        ("GET", "/api/v1/jobs/none", "/api/v1/jobs/{id}", None),
        ("POST", "/api/commands/job.enqueue", "/api/commands/job.enqueue", {"name": "x"}),
        ("POST", "/api/commands/job.enqueue", "/api/commands/job.enqueue", [{"name": "x"}, {}]),
        ("POST", "/api/commands/job.enqueue", "/api/commands/job.enqueue", {}),
        ("POST", "/api/v1/commands/job.enqueue", "/api/v1/commands/job.enqueue", [{"name": "x"}, {}]),
        ("POST", "/api/v1/commands/job.enqueue", "/api/v1/commands/job.enqueue", {}),
        ("POST", "/api/queries/log.read", "/api/queries/log.read", {}),
        ("GET", "/api/jobs/stats", "/api/jobs/stats", None),
    ]
    document = app.openapi()
    for method, path, documented, body in cases:
        answer = await client.request(method, path, json=body)
        response = document["paths"][documented][method.lower()]["responses"][str(answer.status_code)]
        if "$ref" in response:
            response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        schema = response["content"][answer.headers["Content-Type"]]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())
