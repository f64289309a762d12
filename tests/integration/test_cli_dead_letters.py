"""`millrace deadletters` on a running service."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from millrace import Millrace
from tests.support.service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")
TO_B = json.dumps([{"op": "replace", "path": "/file", "value": "b.png"}])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(database_url: str) -> AsyncIterator[RunningService]:
    async with running_service(database_url) as service:
        yield service


class Cli:
    """The command line in the name of a tenant of its own, with one dead letter."""

    def __init__(self, url: str) -> None:
        self.url, self.tenant = url, f"t{uuid.uuid4().hex[:12]}"

    async def __call__(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command prints as JSON."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "millrace.cli.main", "deadletters", *arguments, "--json", "--url", self.url),
            env={**os.environ, "MILLRACE_TENANT": self.tenant},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return [json.loads(line) for line in output.splitlines()]

    async def dead(self) -> str:
        async with Millrace(self.url, tenant=self.tenant) as app:
            job = await app.jobs.enqueue("resize", {"file": "a.png"}, max_attempts=1)
            await app.execute("job.claim", {"worker": "w"})
            error = {"type": "ValueError", "message": "no file 'a.png'"}
            failed = {"job_id": job.id, "attempt": 1, "outcome": "failed", "error": error}
            await app.execute("job.report", failed)
            assert await app.jobs.get(job.id) is not None
            return job.id


@pytest_asyncio.fixture(loop_scope="module")
async def cli(service: RunningService) -> Cli:
    return Cli(service.http)


async def test_a_failure_is_found_mended_and_retried(cli: Cli) -> None:
    job_id = await cli.dead()
    [group] = await cli("groups")
    assert (group["name"], group["message"], group["count"]) == ("resize", "no file *", 1)
    [listed] = await cli("list", "--fingerprint", group["fingerprint"])
    assert listed["id"] == job_id
    [preview] = await cli("edit", job_id, TO_B, "--dry-run")
    assert preview["changes"][0]["edited"] == {"file": "b.png"}
    await cli("edit", job_id, TO_B, "--reason", "typo")
    [shown] = await cli("show", job_id)
    assert (shown["original"], shown["job"]["data"]) == ({"file": "a.png"}, {"file": "b.png"})
    assert [done["reason"] for done in shown["interventions"]] == ["typo"]
    [meant] = await cli("retry", "--name", "resize", "--dry-run")
    assert meant["count"] == 1
    assert await cli("retry", "--name", "resize") == [{"retried": [job_id]}]
    assert await cli("undo", job_id) == [{"job_id": job_id, "undone": "retry"}]
    assert await cli("undo", job_id) == [{"job_id": job_id, "undone": "edit"}]


async def test_dead_letters_are_purged_by_time(cli: Cli) -> None:
    job_id = await cli.dead()
    [meant] = await cli("purge", "--name", "resize", "--dry-run")
    assert (meant["count"], [each["job_id"] for each in meant["changes"]]) == (1, [job_id])
    assert [each["id"] for each in await cli("list")] == [job_id]
    assert await cli("purge", "--until", "2020-01-01T00:00:00Z") == [{"purged": []}]
    assert await cli("purge", "--since", "2020-01-01T00:00:00Z", "--reason", "old") == [{"purged": [job_id]}]
    assert await cli("list", "--since", "2020-01-01T00:00:00Z") == []
