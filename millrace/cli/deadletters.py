"""`millrace deadletters`: jobs that used up their attempts, and what can be done about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from millrace import Millrace
from millrace.cli.errors import CliError
from millrace.cli.jobs import point_in_time
from millrace.cli.options import DEFAULT_URL, Json, Url, ask, list_by_default
from millrace.cli.output import console, moment, print_found, print_jobs, print_json
from millrace.contracts.deadletter import FailureGroup, Preview

PAGE = 1_000
JobId = Annotated[str, typer.Argument(help="The job.")]
MaybeJobId = Annotated[str | None, typer.Argument(help="The job.")]
Every = Annotated[bool, typer.Option("--all", help="All that the filters leave, or all there are.")]
OfName = Annotated[str | None, typer.Option("--name", help="Only jobs of this handler.")]
OfQueue = Annotated[str | None, typer.Option("--queue", help="Only jobs of this queue.")]
OfFailure = Annotated[str | None, typer.Option("--fingerprint", help="Only this failure; `groups` lists them.")]
Since = Annotated[str | None, typer.Option(help="Only those that failed then or later, ISO 8601 with zone.")]
Until = Annotated[str | None, typer.Option(help="Only those that failed before, ISO 8601 with zone.")]
Why = Annotated[str | None, typer.Option("--reason", help="Why, for the record.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen and change nothing.")]


def deadletters() -> typer.Typer:
    """The group `deadletters list|groups|show|edit|retry|undo|purge`; without a command it lists."""
    group = typer.Typer(help="Dead-lettered jobs: list, mend, retry, purge.", invoke_without_command=True)

    @group.command("list")
    def list_(
        name: OfName = None, queue: OfQueue = None, fingerprint: OfFailure = None, since: Since = None,
        until: Until = None, limit: Annotated[int, typer.Option(help="Most jobs to list.", min=1, max=PAGE)] = 50,
        url: Url = DEFAULT_URL, as_json: Json = False,
    ) -> None:  # fmt: skip
        """Lists dead-lettered jobs with their last error."""
        filters = _filters(name, queue, fingerprint, since, until)
        found = ask(url, lambda app: app.dead_letters.list(**filters, limit=limit))
        print_found(found, as_json, print_jobs)

    @group.command()
    def groups(
        name: OfName = None, queue: OfQueue = None, since: Since = None, until: Until = None,
        url: Url = DEFAULT_URL, as_json: Json = False,
    ) -> None:  # fmt: skip
        """Lists the failures that dead-lettered jobs have in common, the most frequent first."""
        filters = _filters(name, queue, None, since, until)
        found = ask(url, lambda app: app.dead_letters.groups(**filters))
        print_found(found, as_json, _print_groups)

    @group.command()
    def show(job_id: JobId, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Shows one dead-lettered job, its original data, and who did what about it."""
        found = ask(url, lambda app: app.dead_letters.get(job_id))
        print_json(found) if as_json else typer.echo(found.model_dump_json(indent=2, exclude_none=True))

    @group.command()
    def edit(
        job_id: JobId,
        patch: Annotated[str, typer.Argument(help='JSON Patch: [{"op": "replace", "path": "/size", "value": 3}]')],
        reason: Why = None, dry_run: DryRun = False, url: Url = DEFAULT_URL, as_json: Json = False,
    ) -> None:  # fmt: skip
        """Changes the data that the job's next attempt gets; its history keeps the original."""
        operations = json_patch(patch)
        if dry_run:
            return _print_preview(ask(url, lambda app: app.dead_letters.preview(job_id, operations)), as_json)
        ask(url, lambda app: app.dead_letters.edit(job_id, operations, reason))
        print_json({"edited": job_id}) if as_json else typer.echo(
            f"{job_id} edited; `millrace deadletters retry` runs it"
        )
        return None

    @group.command()
    def retry(
        job_id: MaybeJobId = None, every: Every = False, name: OfName = None, queue: OfQueue = None,
        fingerprint: OfFailure = None, since: Since = None, until: Until = None, reason: Why = None,
        dry_run: DryRun = False, url: Url = DEFAULT_URL, as_json: Json = False,
    ) -> None:  # fmt: skip
        """Gives one dead-lettered job, or all that the filters leave, new attempts."""
        filters = _chosen(job_id, every, _filters(name, queue, fingerprint, since, until))
        if dry_run:
            return _print_preview(ask(url, lambda app: app.dead_letters.preview(job_id, **filters)), as_json)

        async def revive(app: Millrace) -> list[str]:
            if job_id is None:
                return await app.dead_letters.retry(reason, **filters)
            await app.jobs.retry(job_id, reason)
            return [job_id]

        revived = ask(url, revive)
        print_json({"retried": revived}) if as_json else typer.echo(f"{len(revived)} job(s) retried")
        return None

    @group.command()
    def undo(job_id: JobId, reason: Why = None, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Takes back the last retry of a job that has not started, else the last edit."""
        undone = ask(url, lambda app: app.dead_letters.undo(job_id, reason))
        print_json({"job_id": job_id, "undone": undone}) if as_json else typer.echo(
            f"the {undone} of {job_id} is undone"
        )

    @group.command()
    def purge(
        job_id: MaybeJobId = None, every: Every = False, name: OfName = None, queue: OfQueue = None,
        fingerprint: OfFailure = None, since: Since = None, until: Until = None, reason: Why = None,
        dry_run: DryRun = False, url: Url = DEFAULT_URL, as_json: Json = False,
    ) -> None:  # fmt: skip
        """Takes one dead-lettered job, or all that the filters leave, out of what can be read; the log keeps them."""
        filters = _chosen(job_id, every, _filters(name, queue, fingerprint, since, until))
        if dry_run:
            return _print_preview(ask(url, lambda app: app.dead_letters.preview(job_id, **filters)), as_json)

        async def remove(app: Millrace) -> list[str]:
            if job_id is None:
                return await app.dead_letters.purge(reason, **filters)
            await app.dead_letters.get(job_id)
            await app.jobs.remove(job_id, reason)
            return [job_id]

        purged = ask(url, remove)
        print_json({"purged": purged}) if as_json else typer.echo(f"{len(purged)} job(s) purged")
        return None

    list_by_default(group, list_)
    return group


def json_patch(text: str) -> list[dict[str, Any]]:
    """Reads a JSON Patch.

    Raises:
        CliError: the text is no list of JSON objects.
    """
    example = '[{"op": "replace", "path": "/size", "value": 3}]'
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CliError(f"the patch is not JSON ({error}); write it like '{example}'", exit_code=2) from error
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise CliError(f"the patch must be a list of operations, like '{example}'", exit_code=2)
    return value


def _filters(
    name: str | None, queue: str | None, fingerprint: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    given = {
        "name": name,
        "queue": queue,
        "fingerprint": fingerprint,
        "failed_after": None if since is None else point_in_time(since).isoformat(),
        "failed_before": None if until is None else point_in_time(until).isoformat(),
    }
    return {key: value for key, value in given.items() if value is not None}


def _chosen(job_id: str | None, every: bool, filters: dict[str, Any]) -> dict[str, Any]:
    """The filters of a change, once it is clear that somebody meant them."""
    if (job_id is None) != (every or bool(filters)):
        raise CliError("name one job, or give --all or filters", exit_code=2)
    return filters


def _print_groups(groups: Sequence[FailureGroup]) -> None:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("fingerprint", "jobs", "name", "error", "last", "newest job"):
        table.add_column(title, no_wrap=True)
    table.add_column("message")
    for group in groups:
        message = Text(f"{group.message} ({group.frame})" if group.frame else group.message, overflow="ellipsis")
        message.no_wrap = True
        table.add_row(
            group.fingerprint, str(group.count), group.name, group.type, moment(group.last_at), group.job_id, message
        )
    console().print(table)


def _print_preview(preview: Preview, as_json: bool) -> None:
    if as_json:
        return print_json(preview)
    typer.echo(f"{preview.count} job(s) are meant; nothing was changed")
    for change in preview.changes:
        before = json.dumps(change.data, ensure_ascii=False)
        if change.problem is not None:
            typer.echo(f"{change.job_id}  {before}\n  refused: {change.problem}")
        elif change.edited != change.data:
            typer.echo(f"{change.job_id}  {before}\n  becomes {json.dumps(change.edited, ensure_ascii=False)}")
        else:
            typer.echo(f"{change.job_id}  {before}")
    return None
