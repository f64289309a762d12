"""`millrace schedules`: what is enqueued when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from millrace import Millrace
from millrace.cli.options import DEFAULT_URL, Json, Url, ask, list_by_default
from millrace.cli.output import console, moment, print_found, print_json
from millrace.contracts.schedule import Schedule

PAGE = 1_000
Name = Annotated[str, typer.Argument(help="The schedule.")]


def schedules() -> typer.Typer:
    """The group `schedules list|next|pause|resume|trigger|remove`; without a command it lists."""
    group = typer.Typer(help="Lists schedules, shows their next runs, and steers them.", invoke_without_command=True)

    @group.command("list")
    def list_(
        limit: Annotated[int, typer.Option(help="Most schedules to list.", min=1, max=PAGE)] = 50,
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Lists schedules by name."""

        async def found(app: Millrace) -> list[Schedule]:
            return await app.jobs.schedules.list(limit=limit)

        listed = ask(url, found)
        print_found(listed, as_json, _print)

    @group.command("next")
    def next_(
        name: Name,
        count: Annotated[int, typer.Option(help="How many runs to show.", min=1, max=100)] = 5,
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Shows the next runs, by the schedule's own clock."""
        shown = ask(url, lambda app: app.jobs.schedules.next(name, count))
        if as_json:
            return print_json(shown)
        if not shown.next:
            typer.echo("paused" if shown.paused else "nothing is due any more")
        for local in shown.local:
            typer.echo(f"{local} {shown.timezone}")
        return None

    @group.command()
    def pause(name: Name, url: Url = DEFAULT_URL) -> None:
        """Has nothing due until the schedule is resumed."""
        ask(url, lambda app: app.jobs.schedules.pause(name))
        typer.echo(f"{name} is paused")

    @group.command()
    def resume(name: Name, url: Url = DEFAULT_URL) -> None:
        """Goes on with the next due time; what was due during the pause is not made up for."""
        due = ask(url, lambda app: app.jobs.schedules.resume(name))
        typer.echo(f"{name} is due {moment(due)}" if due else f"nothing of {name} is due any more")

    @group.command()
    def trigger(name: Name, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Enqueues the job now and prints its id."""
        job_id = ask(url, lambda app: app.jobs.schedules.trigger(name))
        print_json({"job_id": job_id}) if as_json else typer.echo(job_id)

    @group.command()
    def remove(name: Name, url: Url = DEFAULT_URL) -> None:
        """Ends the schedule; the jobs that it started go on."""
        ask(url, lambda app: app.jobs.schedules.remove(name))
        typer.echo(f"{name} is removed")

    list_by_default(group, list_)
    return group


def _print(schedules: Sequence[Schedule]) -> None:
    """A table with one line for each schedule."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("name", "when", "zone", "job", "next", "last", "runs"):
        table.add_column(title, no_wrap=True)
    for each in schedules:
        when = each.cron if each.cron is not None else f"every {each.every:g} s"
        following = "paused" if each.paused else moment(each.next_due_at)
        last = moment(each.last_due_at)
        table.add_row(each.name, when, each.timezone, str(each.job["name"]), following, last, str(each.runs))
    console().print(table)
