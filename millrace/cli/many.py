"""`millrace cancel` and `millrace retry`: many jobs by filter."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from millrace.cli.errors import CliError
from millrace.cli.jobs import point_in_time
from millrace.cli.options import DEFAULT_URL, Json, Url, ask
from millrace.cli.output import print_json
from millrace.contracts.job import JobStatus
from millrace.contracts.job_bulk import Bulk

Name = Annotated[str | None, typer.Option(help="Only jobs of this handler.")]
Queue = Annotated[str | None, typer.Option(help="Only jobs of this queue.")]
Status = Annotated[JobStatus | None, typer.Option(help="Only jobs that are in this state.")]
After = Annotated[str | None, typer.Option(help="Only jobs that were enqueued at this time or later.")]
Before = Annotated[str | None, typer.Option(help="Only jobs that were enqueued before this time.")]
Error = Annotated[str | None, typer.Option(help="Only jobs whose errors have these words.")]
Reason = Annotated[str | None, typer.Option(help="For the record.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count them.")]


def cancel(
    name: Name = None,
    queue: Queue = None,
    status: Status = None,
    created_after: After = None,
    created_before: Before = None,
    error: Error = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Cancels the unfinished jobs that fit all filters."""
    wish = _wish(name, queue, status, created_after, created_before, error, reason)
    done = ask(url, lambda app: app.jobs.cancel_many(**wish, dry_run=dry_run))
    _tell(done, "cancelled", dry_run, as_json)


def retry(
    name: Name = None,
    queue: Queue = None,
    created_after: After = None,
    created_before: Before = None,
    error: Error = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Gives the dead-lettered jobs that fit all filters new attempts."""
    wish = _wish(name, queue, None, created_after, created_before, error, reason)
    done = ask(url, lambda app: app.jobs.retry_many(**wish, dry_run=dry_run))
    _tell(done, "retried", dry_run, as_json)


def _tell(done: Bulk, what: str, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{done.matched} job(s) fit" if dry_run else f"{done.changed} job(s) {what}")


def _wish(
    name: str | None,
    queue: str | None,
    status: JobStatus | None,
    created_after: str | None,
    created_before: str | None,
    error: str | None,
    reason: str | None,
) -> dict[str, Any]:
    wish: dict[str, Any] = {
        "name": name,
        "queue": queue,
        "status": status,
        "created_after": None if created_after is None else point_in_time(created_after),
        "created_before": None if created_before is None else point_in_time(created_before),
        "error": error,
    }
    if all(value is None for value in wish.values()):
        raise CliError("give at least one filter, such as --name or --queue", exit_code=2)
    return wish | {"reason": reason}
