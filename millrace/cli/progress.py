"""`millrace progress`: how far work has got."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from millrace import Millrace
from millrace.cli.options import DEFAULT_URL, Json, Url, ask, list_by_default
from millrace.cli.output import console, moment, print_found, print_json
from millrace.contracts.progress import Progress, ProgressStatus

PAGE = 1_000
OPEN = (ProgressStatus.PENDING, ProgressStatus.PROCESSING)
Id = Annotated[str, typer.Argument(help="The progress; a job's own has the job's id.")]


def progress() -> typer.Typer:
    """The group `progress list|get|watch`; without a command it lists."""
    group = typer.Typer(help="Lists, shows and follows the progress of work.", invoke_without_command=True)

    @group.command("list")
    def list_(
        status: Annotated[ProgressStatus | None, typer.Option(help="Only those that stand so.")] = None,
        user: Annotated[str | None, typer.Option(help="Only those of this user.")] = None,
        parent: Annotated[str | None, typer.Option(help="Only the parts of this one.")] = None,
        stalled: Annotated[bool, typer.Option("--stalled", help="Only those of which nothing is heard.")] = False,
        limit: Annotated[int, typer.Option(help="Most to list.", min=1, max=PAGE)] = 50,
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Lists progress, newest first."""

        async def found(app: Millrace) -> list[Progress]:
            wanted = True if stalled else None
            return await app.progress.list(status=status, user_id=user, parent_id=parent, stalled=wanted, limit=limit)

        listed = ask(url, found)
        print_found(listed, as_json, _print)

    @group.command()
    def get(id: Id, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Shows one progress with its stages."""
        found = ask(url, lambda app: app.progress.get(id))
        if found is None:
            typer.echo(f"there is no progress {id!r}", err=True)
            raise typer.Exit(1)
        print_json(found) if as_json else _show(found)

    @group.command()
    def watch(id: Id, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        """Prints a progress after each of its events, until it has ended."""
        ask(url, lambda app: _watch(app, id, as_json))

    list_by_default(group, list_)
    return group


async def _watch(app: Millrace, id: str, as_json: bool) -> None:
    ended = asyncio.Event()

    def show(progress: Progress) -> None:
        print_json(progress) if as_json else typer.echo(_line(progress))
        if progress.status not in OPEN:
            ended.set()

    unsubscribe = app.progress.subscribe(id, show)
    await ended.wait()
    unsubscribe()


def _line(progress: Progress) -> str:
    stage = "" if progress.stage is None else f"  {progress.stage} {progress.stage_progress:.0f} %"
    eta = "" if progress.eta is None else f"  {progress.eta:.0f} s left"
    stalled = "  stalled" if progress.stalled_at is not None else ""
    error = f"  {progress.error}" if progress.error else ""
    return f"{progress.progress:5.1f} %  {progress.status}{stage}{eta}{stalled}{error}"


def _show(progress: Progress) -> None:
    typer.echo(f"{progress.id}  {_line(progress)}")
    for stage in progress.stages or ():
        typer.echo(f"  {stage.name}  {stage.status}  {stage.progress:.0f} %  weight {stage.weight:g}")
    if progress.children is not None:
        parts = progress.children
        typer.echo(f"  parts: {parts.completed} completed, {parts.failed} failed, {parts.open} open of {parts.total}")


def _print(found: Sequence[Progress]) -> None:
    """A table with one line for each."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("id", "status", "progress", "stage", "left", "updated", "user"):
        table.add_column(title, no_wrap=True)
    for each in found:
        left = "stalled" if each.stalled_at is not None else "" if each.eta is None else f"{each.eta:.0f} s"
        row = (each.id, each.status, f"{each.progress:.1f} %", each.stage or "", left, moment(each.updated_at))
        table.add_row(*row, each.user_id or "")
    console().print(table)
