"""Statistics when the log has an event that this release cannot decode."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from infra.logging import configure_logging
from infra.settings import Logging
from tests.support.systems import TENANT, asked, claimed, enqueued, reported, system


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    written = io.StringIO()
    configure_logging(Logging(), written)
    yield written
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_a_start_after_an_event_that_cannot_be_decoded_is_counted_logged_and_in_no_figure(
    fresh_database_url: str, stream: io.StringIO
) -> None:
    async with system(fresh_database_url) as running:
        jobs = [await enqueued(running) for _ in range(3)]
        for grant in await claimed(running, slots=3):
            await reported(running, grant)
        position = (await asked(running, "log.read", {"pattern": "job.#"}))["position"]
        whole = await asked(running, "job.stats", {"details": True}, position)
        assert (whole["wait"]["count"], whole["unreadable"]) == (3, 0)
        broken = f"job:{TENANT}:{jobs[1]}"
        await running.storage.pool.execute(
            "UPDATE stored_events SET topic = 'job.evaporated' WHERE originator_id = $1 AND originator_version = 1",
            broken,
        )
        stats = await asked(running, "job.stats", {"details": True}, position)
    assert (stats["wait"]["count"], stats["unreadable"], stats["run"]["count"]) == (2, 1, 3)
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    [told] = [record for record in records if record.get("action") == "event_unreadable"]
    assert (told["level"], told["stream"], told["version"]) == ("warning", broken, 1)
    assert "job.evaporated" in told["error"]
