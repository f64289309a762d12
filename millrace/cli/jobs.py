"""`millrace enqueue` and `millrace jobs`."""

from __future__ import annotations

import json
from typing import Annotated, Any, get_args

import typer
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from millrace import Millrace
from millrace.cli.errors import CliError
from millrace.cli.options import DEFAULT_URL, Json, Url, ask
from millrace.cli.output import print_jobs, print_json
from millrace.contracts.job import Job, JobStatus
from millrace.contracts.job_fields import WaitReason


def enqueue(
    name: Annotated[str, typer.Argument(help="Which handler runs it.")],
    data: Annotated[str, typer.Argument(help="Arguments for the handler, a JSON object.")] = "{}",
    queue: Annotated[str, typer.Option(help="Queue.")] = "default",
    priority: Annotated[int, typer.Option(help="-100 to 100, higher first.")] = 0,
    delay: Annotated[float | None, typer.Option(help="Seconds to wait first.")] = None,
    run_at: Annotated[str | None, typer.Option(help="ISO 8601 time with zone; instead of --delay.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Attempts before the dead letters.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for one attempt.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Whom the job is for, where its queue shares or limits by key.")
    ] = None,
    affinity: Annotated[
        float | None, typer.Option(help="Seconds to wait for the worker that ran the last such job of the key.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Puts a job into a queue and prints its id."""
    arguments = json_object(data)
    options: dict[str, Any] = {"queue": queue, "priority": priority, "delay": delay, "max_attempts": max_attempts}
    options |= {
        "timeout": timeout,
        "key": key,
        "affinity": affinity,
        "run_at": None if run_at is None else point_in_time(run_at),
    }
    given = {key: value for key, value in options.items() if value is not None}
    job = ask(url, lambda app: app.jobs.enqueue(name, arguments, **given))
    print_json(job) if as_json else typer.echo(job.id)


def jobs(
    job_id: Annotated[str | None, typer.Argument(help="Show this one job in full.")] = None,
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs that are in this state.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only jobs of this queue.")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs of this handler.")] = None,
    key: Annotated[str | None, typer.Option(help="Only jobs for this key.")] = None,
    since: Annotated[str | None, typer.Option(help="Only jobs enqueued then or later, ISO 8601 with zone.")] = None,
    until: Annotated[str | None, typer.Option(help="Only jobs enqueued before, ISO 8601 with zone.")] = None,
    error: Annotated[str | None, typer.Option(help="Only jobs whose errors have these words.")] = None,
    waiting: Annotated[
        str | None, typer.Option(help=f"Only jobs that wait for this reason: {', '.join(get_args(WaitReason))}.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Most jobs to list.", min=1, max=1_000)] = 50,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Lists jobs, newest first, or shows one."""
    filters: dict[str, Any] = {"status": status, "queue": queue, "name": name, "key": key}
    filters |= {"error": error, "waiting": waiting}
    filters["created_after"] = None if since is None else point_in_time(since)
    filters["created_before"] = None if until is None else point_in_time(until)

    async def find(app: Millrace) -> list[Job]:
        if job_id is None:
            return await app.jobs.list(**filters, limit=limit)
        job = await app.jobs.get(job_id)
        if job is None:
            raise CliError(f"there is no job {job_id!r}")
        return [job]

    found = ask(url, find)
    if not as_json and job_id is None:
        return print_jobs(found)
    for job in found:
        print_json(job) if as_json else typer.echo(job.model_dump_json(indent=2, exclude_none=True))
    return None


def json_object(text: str) -> dict[str, Any]:
    """Reads the arguments of a job.

    Raises:
        CliError: the text is no JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CliError(f"the data is not JSON ({error}); write it like '{{\"file_id\": 42}}'", exit_code=2) from error
    if not isinstance(value, dict):
        raise CliError("the data must be a JSON object, like '{\"file_id\": 42}'", exit_code=2)
    return value


def point_in_time(text: str) -> AwareDatetime:
    """Reads a time that says its zone.

    Raises:
        CliError: the text is no ISO 8601 time, or has no zone.
    """
    try:
        return TypeAdapter(AwareDatetime).validate_python(text)
    except ValidationError as error:
        raise CliError(f"{text!r} is not a time with a zone; write 2030-01-31T09:00:00Z", exit_code=2) from error
