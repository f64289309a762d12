"""`millrace queues`: how much waits in each queue; pausing, resuming, draining and limiting them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from millrace import Millrace
from millrace.cli.errors import CliError
from millrace.cli.jobs import json_object
from millrace.cli.options import DEFAULT_URL, Json, Url, ask, list_by_default
from millrace.cli.output import console, print_found, print_json
from millrace.contracts.queue import Queue

Named = Annotated[str, typer.Argument(help="The queue.")]


def queues() -> typer.Typer:
    """The group `queues list|show|pause|resume|drain|configure`; without a command it lists."""
    group = typer.Typer(help="Lists queues, pauses, resumes, drains and limits them.", invoke_without_command=True)

    @group.command("list")
    def list_(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Lists queues with what waits and runs in them."""
        found = ask(url, lambda app: app.queues.list())
        print_found(found, as_json, print_queues)

    @group.command()
    def show(name: Named, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Shows one queue with its settings."""
        queue = ask(url, lambda app: app.queues.get(name))
        if queue is None:
            raise CliError(f"there is no queue {name!r}")
        print_json(queue) if as_json else typer.echo(queue.model_dump_json(indent=2, exclude_none=True))

    @group.command()
    def pause(
        name: Named,
        reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
        url: Url = DEFAULT_URL,
    ) -> None:
        """Has no further job started; those that run go on."""
        ask(url, lambda app: app.queues.pause(name, reason))
        typer.echo(f"{name} is paused")

    @group.command()
    def resume(name: Named, url: Url = DEFAULT_URL) -> None:
        """Has jobs started again."""
        ask(url, lambda app: app.queues.resume(name))
        typer.echo(f"{name} goes on")

    @group.command()
    def drain(name: Named, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Cancels all jobs that wait in the queue."""
        cancelled = ask(url, lambda app: app.queues.drain(name))
        print_json({"cancelled": cancelled}) if as_json else typer.echo(f"{cancelled} job(s) canceled")

    @group.command()
    def configure(
        name: Named,
        settings: Annotated[
            str, typer.Argument(help='What is to be otherwise, JSON: {"concurrency": 4, "rate": null}')
        ],
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Changes order and limits; what is not named stays as it is."""
        given = json_object(settings)
        queue = ask(url, lambda app: _configure(app, name, given))
        print_json(queue) if as_json else typer.echo(json.dumps(queue.model_dump(exclude_none=True), indent=2))

    list_by_default(group, list_)
    return group


def print_queues(found: list[Queue]) -> None:
    """A table with one line for each queue."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("queue", "state", "order", "ready", "waiting", "running", "oldest"):
        table.add_column(title, no_wrap=True)
    for queue in found:
        waiting = ", ".join(f"{count} {reason}" for reason, count in sorted(queue.waiting.items()))
        oldest = "" if queue.oldest is None else f"{queue.oldest:.1f} s"
        state = "paused" if queue.paused else "open"
        table.add_row(queue.name, state, queue.order, str(queue.ready), waiting, str(queue.running), oldest)
    console().print(table)


async def _configure(app: Millrace, name: str, given: dict[str, Any]) -> Queue:
    await app.execute("queue.configure", {**given, "name": name})
    queue = await app.queues.get(name)
    if queue is None:
        raise CliError(f"there is no queue {name!r}")
    return queue
