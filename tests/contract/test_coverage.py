"""Every route of the OpenAPI document and every message of the AsyncAPI document has an integration test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from infra.documents import DOCS
from tests.contract.coverage import jobs, live, log, names, notifications, progress, queues, schedules

ROOT = Path(__file__).parents[2]
ROUTES = (
    jobs.ROUTES, queues.ROUTES, schedules.ROUTES, progress.ROUTES, notifications.ROUTES, log.ROUTES, names.ROUTES,
    live.ROUTES,
)  # fmt: skip
MESSAGES = (
    jobs.MESSAGES, queues.MESSAGES, schedules.MESSAGES, progress.MESSAGES, notifications.MESSAGES, log.MESSAGES,
    live.MESSAGES,
)  # fmt: skip


def test_every_route_has_a_test() -> None:
    paths = json.loads((DOCS / "openapi.json").read_text())["paths"]
    named = {operation["operationId"].removeprefix("v1_") for path in paths.values() for operation in path.values()}
    assert sorted(named) == sorted(name for routes in ROUTES for name in routes)


def test_every_message_has_a_test() -> None:
    messages = json.loads((DOCS / "asyncapi.json").read_text())["components"]["messages"]
    named = {name.removesuffix(".reply") for name in messages}
    assert sorted(named) == sorted(name for messages in MESSAGES for name in messages)


def test_the_tests_that_are_named_exist() -> None:
    named = {test for tests in (*ROUTES, *MESSAGES) for test in tests.values()}
    files = sorted({node.partition("::")[0] for node in named})
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    nodes = {line.partition("[")[0] for line in collected.stdout.splitlines()}
    assert named - nodes == set()
