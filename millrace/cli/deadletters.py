"""`millrace deadletters`: jobs that used up their attempts."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from millrace import Millrace
from millrace.cli.errors import CliError
from millrace.cli.options import DEFAULT_URL, Json, Url, ask
from millrace.cli.output import print_jobs, print_json
from millrace.contracts.job import Job

PAGE = 1_000


def deadletters() -> typer.Typer:
    """The group `deadletters list|retry`; without a command it lists."""
    group = typer.Typer(help="Lists dead-lettered jobs, or gives them new attempts.", invoke_without_command=True)

    @group.callback()
    def default(context: typer.Context, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        if context.invoked_subcommand is None:
            list_(url=url, as_json=as_json)

    @group.command("list")
    def list_(
        limit: Annotated[int, typer.Option(help="Most jobs to list.", min=1, max=PAGE)] = 50,
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Lists dead-lettered jobs with their last error."""
        found = ask(url, lambda app: _dead(app, limit))
        if not as_json:
            return print_jobs(found)
        for job in found:
            print_json(job)
        return None

    @group.command()
    def retry(
        job_id: Annotated[str | None, typer.Argument(help="The job.")] = None,
        every: Annotated[bool, typer.Option("--all", help="All that are dead letters now.")] = False,
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Gives one dead-lettered job, or all of them, new attempts."""
        if (job_id is None) != every:
            raise CliError("name one job, or give --all", exit_code=2)
        revived = ask(url, lambda app: _retry(app, job_id))
        print_json({"retried": revived}) if as_json else typer.echo(f"{len(revived)} job(s) retried")

    return group


async def _dead(app: Millrace, limit: int) -> list[Job]:
    return await app.jobs.dead_letters(limit=limit)


async def _retry(app: Millrace, job_id: str | None) -> list[str]:
    if job_id is not None:
        await app.jobs.retry(job_id)
        return [job_id]
    # read to the end before the first one changes, so that no page shifts under the cursor
    ids = [job.id async for job in app.jobs.iterate(dead_lettered=True, limit=PAGE)]
    for start in range(0, len(ids), PAGE):
        await asyncio.gather(*(app.jobs.retry(dead) for dead in ids[start : start + PAGE]))
    return ids
