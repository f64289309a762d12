"""`millrace cancel` and `millrace retry` on a running service: what fits the filters is changed, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from tests.support.cli import Cli
from tests.support.service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(database_url: str) -> AsyncIterator[RunningService]:
    async with running_service(database_url) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def cli(service: RunningService) -> AsyncIterator[Cli]:
    cli = Cli(service.http)
    yield cli
    await cli.app.close()


async def test_what_fits_all_filters_is_cancelled_and_the_rest_waits(cli: Cli) -> None:
    wanted = await cli.app.jobs.enqueue("resize", queue="media")
    others = [await cli.app.jobs.enqueue("resize"), await cli.app.jobs.enqueue("scan", queue="media")]
    filters = ("--name", "resize", "--queue", "media")
    assert (await cli.run("cancel", *filters, "--dry-run"))[:2] == (0, "1 job(s) fit\n")
    assert await cli.statuses(wanted.id) == ["pending"]
    assert (await cli.run("cancel", *filters, "--reason", "not needed"))[:2] == (0, "1 job(s) cancelled\n")
    assert await cli.statuses(wanted.id, *(job.id for job in others)) == ["cancelled", "pending", "pending"]
    (*_, cancelled) = await cli.app.history("job", wanted.id)
    assert cancelled.data == {"reason": "not needed"}


async def test_jobs_are_cancelled_by_state_and_time(cli: Cli) -> None:
    first = await cli.app.jobs.enqueue("n")
    later = await cli.app.jobs.enqueue("n", delay=3_600)
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert (await cli.told("cancel", "--name", "n", "--created-before", hour_ago))["matched"] == 0
    done = await cli.told("cancel", "--status", "delayed", "--created-after", hour_ago)
    assert (done["matched"], done["changed"], done["refused"]) == (1, 1, 0)
    assert await cli.statuses(first.id, later.id) == ["pending", "cancelled"]


async def test_dead_letters_are_retried_by_the_words_of_their_errors(cli: Cli) -> None:
    full, gone = await cli.dead("save", "disk full"), await cli.dead("load", "no such file")
    assert (await cli.run("retry", "--error", "disk full", "--dry-run"))[:2] == (0, "1 job(s) fit\n")
    done = await cli.told("retry", "--error", "disk full", "--reason", "mended")
    assert (done["matched"], done["changed"]) == (1, 1)
    assert await cli.statuses(full, gone) == ["pending", "failed"]
    assert (await cli.run("retry", "--name", "load"))[:2] == (0, "1 job(s) retried\n")
    assert await cli.statuses(gone) == ["pending"]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("cancel",), "give at least one filter"),
        (("retry", "--reason", "why not"), "give at least one filter"),
        (("cancel", "--created-after", "yesterday"), "is not a time with a zone"),
        (("retry", "--created-before", "2026-01-31T09:00:00"), "is not a time with a zone"),
    ],
)
async def test_a_wish_that_is_none_changes_nothing_and_says_why(
    cli: Cli, arguments: tuple[str, ...], wrong: str
) -> None:
    job = await cli.app.jobs.enqueue("n")
    code, _, errors = await cli.run(*arguments)
    assert code == 2
    assert wrong in " ".join(errors.split())
    assert await cli.statuses(job.id) == ["pending"]
