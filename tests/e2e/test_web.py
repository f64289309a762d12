"""The examples for Flask and Django answer as they say, in processes of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.running import Running, running

EXAMPLE = Path(__file__).parents[2] / "examples" / "web"
FLASK = """
from flask_app import blocking, flask

client = flask.test_client()


def post(data):
    answer = client.post("/transcriptions", json=data)
    return answer.status_code, answer.get_json()


def get(job_id):
    answer = client.get(f"/transcriptions/{job_id}")
    return answer.status_code, answer.get_json()
"""
DJANGO = """
from django_app import blocking
from django.test import Client

client = Client()


def post(data):
    answer = client.post("/transcriptions", data, content_type="application/json")
    return answer.status_code, answer.json()


def get(job_id):
    answer = client.get(f"/transcriptions/{job_id}")
    return answer.status_code, answer.json()
"""
ROUND = """
from tasks import app

assert post({"file_id": "42"})[0] == 202
status, sent = post({"file_id": "43"})
assert status == 202
assert blocking.jobs.result(sent["id"], timeout=30) == {"file_id": "43", "words": 1200}
assert get(sent["id"]) == (200, {"status": "completed", "result": {"file_id": "43", "words": 1200}})
assert get("0199c2f0-0000-7000-8000-000000000001")[0] == 404
blocking.close()
"""


@pytest.fixture
async def service(fresh_database_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url) as service:
        yield service


@pytest.mark.parametrize("framework", [FLASK, DJANGO], ids=["flask", "django"])
async def test_a_request_enqueues_a_job_and_another_one_shows_its_result(service: Running, framework: str) -> None:
    environment = {**os.environ, "MILLRACE_URL": service.url, "PYTHONPATH": str(EXAMPLE)}
    command = (sys.executable, "-m", "millrace.cli.main", "worker", "tasks:app", "--grace", "1")
    worker = await asyncio.create_subprocess_exec(*command, cwd=EXAMPLE, env=environment)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", framework + ROUND),
            cwd=EXAMPLE,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, out.decode()
    finally:
        worker.terminate()
        await asyncio.wait_for(worker.wait(), 20)
