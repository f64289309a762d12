"""`millrace logs`: what a job has logged."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from millrace.cli.options import DEFAULT_URL, Json, Url, ask
from millrace.cli.output import moment, print_json


def logs(
    job_id: Annotated[str, typer.Argument(help="The job's id.")],
    attempt: Annotated[int | None, typer.Option(help="Which attempt; else the newest that has logged.", min=1)] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Prints what one attempt of a job has logged, oldest line first."""
    found = ask(url, lambda app: app.jobs.logs(job_id, attempt))
    if found.dropped and not as_json:
        typer.echo(f"{found.dropped} older lines were not kept", err=True)
    for line in found.lines:
        if as_json:
            print_json(line)
        else:
            fields = " ".join(f"{name}={json.dumps(value)}" for name, value in line.fields.items())
            typer.echo(f"{moment(line.at)} {line.level:<7} {line.message} {fields}".rstrip())
