"""`millrace rebuild`: fills a read model anew from the log, beside the live one."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from millrace.cli.output import print_json
from millrace.cli.processes import end_child, end_with_parent
from millrace.cli.service import service_command, service_environment, service_root

END_GRACE = 5.0


def rebuild(
    name: Annotated[str, typer.Argument(help="The projection, for example jobs.")],
    data: Annotated[Path | None, typer.Option(help="Data folder of a running service; else DATABASE_URL.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Progress as lines of JSON.")] = False,
) -> None:
    """Builds a read model again from the log and switches to it at once; an interrupted rebuild goes on."""
    arguments = ["rebuild", name, "--progress", "json"]
    if data is not None:
        arguments += ["--data", str(data.expanduser().absolute())]
    code = asyncio.run(_run(arguments, json_))
    if code:
        raise typer.Exit(1)


async def _run(arguments: list[str], as_json: bool) -> int:
    child = await asyncio.create_subprocess_exec(
        *service_command(arguments),
        env=service_environment(service_root(), os.environ),
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=end_with_parent(),
    )
    assert child.stdout is not None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, disable=as_json, transient=True) as progress:
            task = progress.add_task("starting", total=None)
            async for line in child.stdout:
                step = progress_line(line)
                text = line.decode(errors="replace").rstrip()
                if as_json:
                    print_json(step or {"message": text})
                elif step is None:
                    progress.console.print(text, markup=False, highlight=False)
                else:
                    _advance(progress, task, step)
        return await child.wait()
    finally:
        await end_child(child, END_GRACE)


def progress_line(line: bytes) -> dict[str, Any] | None:
    """A line of progress, `{"done": n, "total": n, "phase": text}`; None for any other text."""
    try:
        step = json.loads(line)
    except ValueError:
        return None
    return step if isinstance(step, dict) and "done" in step else None


def _advance(progress: Progress, task: TaskID, step: dict[str, Any]) -> None:
    progress.update(task, completed=step["done"], total=step.get("total"), description=str(step.get("phase", "")))
