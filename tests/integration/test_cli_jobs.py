"""`millrace jobs`, `millrace why-waiting` and `millrace why` on a running service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from millrace.testing.contracts.bench import head
from tests.support.cli import Cli
from tests.support.service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(database_url: str) -> AsyncIterator[RunningService]:
    async with running_service(database_url) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def cli(service: RunningService) -> AsyncIterator[Cli]:
    cli = Cli(service.http)
    yield cli
    await cli.app.close()


async def rows(cli: Cli, *arguments: str) -> list[list[str]]:
    """The cells of the table that is printed, without its head."""
    code, output, errors = await cli.run("jobs", *arguments)
    assert (code, errors) == (0, "")
    head_line, _, *lines = [line for line in output.splitlines() if line.strip()]
    assert head_line.split() == ["id", "name", "status", "tries", "queue", "priority", "created", "error"]
    return [line.split() for line in lines]


async def listed(cli: Cli, *arguments: str) -> list[str]:
    """The ids of the jobs that are listed, one JSON value per line."""
    code, output, errors = await cli.run("jobs", *arguments, "--json")
    assert code == 0, errors
    return [json.loads(line)["id"] for line in output.splitlines()]


async def read_up(cli: Cli) -> None:
    """Returns when lists know of everything that has happened so far."""
    await cli.app.jobs.list(limit=1, min_position=await head(cli.app))


async def test_a_job_is_a_row_with_its_state_and_the_first_line_of_its_error(cli: Cli) -> None:
    dead = await cli.dead("resize", "disk full\nand more")
    waits = await cli.app.jobs.enqueue("resize", queue="media", priority=7)
    await read_up(cli)
    newest, oldest = await rows(cli)
    assert [newest[:4], newest[4:6]] == [[waits.id, "resize", "pending", "0/3"], ["media", "7"]]
    assert [oldest[:5], oldest[-2:]] == [[dead, "resize", "dead", "letter", "1/1"], ["disk", "full"]]
    assert [row[0] for row in await rows(cli, "--limit", "1")] == [waits.id]
    code, output, _ = await cli.run("jobs", dead)
    shown = json.loads(output)
    assert (code, shown["id"], shown["error"], shown["errors"][0]["type"]) == (
        0,
        dead,
        "disk full\nand more",
        "OSError",
    )


async def test_a_child_that_may_run_is_a_row_like_any_other_job_that_waits(cli: Cli) -> None:
    parent = await cli.app.jobs.enqueue("scan", queue="parents")
    child = await cli.app.jobs.enqueue("album", queue="children", after=parent)
    await read_up(cli)
    assert [row[:3] for row in await rows(cli, "--queue", "children")] == [[child.id, "album", "delayed"]]
    await cli.app.execute("job.claim", {"worker": "w", "queues": ["parents"], "slots": 1})
    await cli.app.execute("job.report", {"job_id": parent.id, "attempt": 1, "outcome": "completed"})
    await read_up(cli)
    assert [row[:3] for row in await rows(cli, "--queue", "children")] == [[child.id, "album", "pending"]]
    assert await listed(cli, "--queue", "children", "--status", "delayed") == []


async def test_jobs_are_found_by_when_they_came(cli: Cli) -> None:
    first, second = [await cli.app.jobs.enqueue("n") for _ in range(2)]
    await read_up(cli)
    came = second.created_at.isoformat()
    assert first.created_at < second.created_at
    assert await listed(cli, "--since", came) == [second.id]
    assert await listed(cli, "--until", came) == [first.id]
    hours = timedelta(hours=1)
    before, after = [(datetime.now(UTC) + each).isoformat() for each in (-hours, hours)]
    assert await listed(cli, "--since", before, "--until", after) == [second.id, first.id]
    assert await rows(cli, "--since", after) == []


async def test_jobs_are_found_by_the_words_of_their_errors(cli: Cli) -> None:
    full, gone = await cli.dead("save", "disk full"), await cli.dead("load", "no such file")
    await cli.app.jobs.enqueue("save")
    await read_up(cli)
    assert [(row[0], row[-1]) for row in await rows(cli, "--error", "DISK")] == [(full, "full")]
    assert await listed(cli, "--error", "oserror", "--status", "failed") == [gone, full]
    assert await listed(cli, "--error", "oserror", "--name", "load") == [gone]


async def test_jobs_are_found_by_what_they_wait_for(cli: Cli) -> None:
    parent = await cli.app.jobs.enqueue("n", queue="parents")
    child = await cli.app.jobs.enqueue("n", after=parent.id)
    later = await cli.app.jobs.enqueue("n", delay=600, key="acme")
    await cli.app.queues.pause("stopped")
    paused = await cli.app.jobs.enqueue("n", queue="stopped")
    await read_up(cli)
    for reason, job in {"dependent": child, "delayed": later, "paused": paused}.items():
        assert [row[0] for row in await rows(cli, "--waiting", reason)] == [job.id], reason
        assert await cli.run("why-waiting", job.id) == (0, f"{reason}: {(await cli.app.jobs.why(job.id)).reason}\n", "")
    assert await listed(cli, "--waiting", "paused", "--queue", "parents") == []
    assert await listed(cli, "--key", "acme") == [later.id]
    told = await cli.told("why-waiting", child.id)
    assert (told["job_id"], told["code"], told["details"]["parents"]) == (child.id, "dependent", [parent.id])


async def test_a_job_that_may_run_is_told_who_is_missing(cli: Cli) -> None:
    job = await cli.app.jobs.enqueue("n")
    code, output, _ = await cli.run("why-waiting", job.id)
    assert (code, output.partition(":")[0], output.count("\n")) == (0, "no-worker", 1)


async def test_why_prints_the_events_and_the_jobs_around_a_job(cli: Cli) -> None:
    first = await cli.app.jobs.enqueue("load", queue="graph")
    left, right = [await cli.app.jobs.enqueue(name, after=first.id) for name in ("shrink", "scan")]
    last = await cli.app.jobs.enqueue("album", after=[left.id, right.id])
    await cli.app.execute("job.claim", {"worker": "w", "queues": ["graph"]})
    await cli.app.execute("job.report", {"job_id": first.id, "attempt": 1, "outcome": "completed"})
    await read_up(cli)
    code, output, errors = await cli.run("why", left.id)
    assert (code, errors) == (0, "")
    events, _, graph = output.partition("jobs, each under the one that it comes after")
    assert events.startswith(f"correlation {(await cli.app.why(left.id))[0].correlationid}")
    assert f"job {left.id}" in events
    assert "job.enqueued" in events
    lines = [line.rstrip() for line in graph.strip("\n").splitlines()]
    assert [(depth(line), line.lstrip(" │├└─")) for line in lines] == [
        (1, f"job {first.id} load completed"),
        (2, f"job {left.id} shrink pending"),
        (3, f"job {last.id} album delayed"),
        (2, f"job {right.id} scan pending"),
        (3, f"job {last.id} album delayed"),
    ]
    *told, last_line = [json.loads(line) for line in (await cli.run("why", left.id, "--json"))[1].splitlines()]
    assert {event["subject"] for event in told} == {left.id}
    assert {(link["parent"], link["child"]) for link in last_line["links"]} == {
        (first.id, left.id), (first.id, right.id), (left.id, last.id), (right.id, last.id),
    }  # fmt: skip


async def test_a_job_alone_has_no_graph(cli: Cli) -> None:
    job = await cli.app.jobs.enqueue("n")
    code, output, _ = await cli.run("why", job.id)
    assert (code, "job.enqueued" in output, "comes after" in output) == (0, True, False)


@pytest.mark.parametrize(
    ("arguments", "code", "wrong"),
    [
        (("jobs", "--since", "yesterday"), 2, "'yesterday' is not a time with a zone"),
        (("jobs", "--until", "2026-01-31T09:00:00"), 2, "'2026-01-31T09:00:00' is not a time with a zone"),
        (("jobs", "--error", "-"), 1, "has no word to search for"),
        (("jobs", "--waiting", "rain"), 1, "'rate-limited'"),
        (("jobs", NOBODY), 1, f"there is no job '{NOBODY}'"),
        (("why-waiting", NOBODY), 1, NOBODY),
        (("why", NOBODY), 1, f"there is no aggregate '{NOBODY}'"),
    ],
)
async def test_what_cannot_be_answered_is_one_line_that_says_why(
    cli: Cli, arguments: tuple[str, ...], code: int, wrong: str
) -> None:
    told: tuple[Any, str, str] = await cli.run(*arguments)
    assert told[:2] == (code, "")
    assert wrong in told[2]
    assert told[2].count("\n") == 1


def depth(line: str) -> int:
    """How deep in its tree a line stands; each level is four characters wide."""
    return (len(line) - len(line.lstrip(" │├└─"))) // 4
