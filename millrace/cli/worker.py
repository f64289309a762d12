"""`millrace worker`: runs an application's jobs."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from millrace import Millrace
from millrace.cli.errors import CliError
from millrace.cli.logs import configure_logs
from millrace.cli.target import load_app
from millrace.contracts.job_result import MAX_INLINE_BYTES
from millrace.contracts.wire import TENANT_PATTERN
from millrace.errors import PluginUnusable
from millrace.worker import Worker
from millrace.worker_memory import EXIT_CODE
from millrace.worker_shares import Shares

DEFAULT_QUEUE = "default"
MIB = 1_048_576


def worker(
    target: Annotated[str, typer.Argument(metavar="MODULE:APP", help="The application, for example tasks:app.")],
    concurrency: Annotated[int, typer.Option(help="Jobs to run at once.", min=1, max=1_000)] = 10,
    queues: Annotated[
        str | None,
        typer.Option(help="Queues, with commas, each with =weight if wanted; else those that the jobs name."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Where the service is, in place of the application's address.")
    ] = None,
    tenants: Annotated[
        str | None,
        typer.Option(help="Tenants whose jobs to run, with commas, or * for all; else the application's own."),
    ] = None,
    grace: Annotated[float, typer.Option(help="Seconds that running jobs get when it stops.", min=0)] = 30.0,
    subscriptions: Annotated[bool, typer.Option(help="Also deliver events; one worker at a time does.")] = True,
    max_memory: Annotated[
        int | None, typer.Option(help="MiB; with more it stops, with exit code 75, for another one to start.", min=1)
    ] = None,
    max_inline_result: Annotated[
        int,
        typer.Option(help="Bytes; larger results go to the service's storage.", min=0, max=MAX_INLINE_BYTES),
    ] = MAX_INLINE_BYTES,
) -> None:
    """Claims jobs and runs them until SIGTERM or Ctrl-C; then it finishes or hands back what it holds."""
    app = load_app(target, Path.cwd())
    configure_logs()
    load_plugins(app)
    app.registry.complete()
    if url is not None:
        app.settings = replace(app.settings, url=url)
    names = weighted_queues(queues) or queue_names(queues) or declared_queues(app)
    worker = Worker(
        app,
        concurrency=concurrency,
        queues=names,
        tenants=tenant_names(tenants),
        grace=grace,
        subscriptions=subscriptions,
        max_memory=None if max_memory is None else max_memory * MIB,
        max_inline_result=max_inline_result,
    )
    asyncio.run(_work(app, worker))
    if worker.outgrown:
        raise typer.Exit(EXIT_CODE)


async def _work(app: Millrace, worker: Worker) -> None:
    async with app:
        # What was loaded until now stays: searching it again and again would take a fifth of the worker's time.
        gc.collect()
        gc.freeze()
        await worker.run()


def load_plugins(app: Millrace) -> None:
    """Registers the plug-ins of installed packages.

    Raises:
        CliError: one of them cannot be used.
    """
    try:
        app.jobs.load_plugins()
    except (PluginUnusable, ValueError) as error:
        raise CliError(f"{error}; mend or uninstall its package", exit_code=2) from error


def declared_queues(app: Millrace) -> list[str]:
    """The default queue and those that the application's jobs are declared with."""
    declared = {str(job.options["queue"]) for job in app.registry.jobs.values() if "queue" in job.options}
    return sorted(declared | {DEFAULT_QUEUE})


def weighted_queues(text: str | None) -> dict[str, float]:
    """The weights in a list like `default=3,media=1`; none where the list has none.

    Raises:
        CliError: some queues have a weight and others not, or one is no number above 0.
    """
    names = queue_names(text)
    pairs = [name.partition("=") for name in names]
    if not any(sign for _, sign, _ in pairs):
        return {}
    try:
        weights = {name.strip(): float(weight) for name, _, weight in pairs}
        Shares(weights)
    except ValueError as error:
        hint = "write a weight above 0 for each, like --queues default=3,media=1"
        raise CliError(f"--queues {text!r} has no good weights; {hint}", exit_code=2) from error
    return weights


def tenant_names(text: str | None) -> list[str]:
    """The tenants in a comma-separated list, or `*` alone; none when there is no list.

    Raises:
        CliError: it has no tenant, or one that cannot be.
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    wrong = [name for name in names if name != "*" and not TENANT_PATTERN.fullmatch(name)]
    if wrong or (text is not None and not names) or ("*" in names and len(names) > 1):
        hint = "write it like --tenants acme,globex, or --tenants '*' for all"
        raise CliError(f"--tenants {text!r} is no list of tenants; {hint}", exit_code=2)
    return names


def queue_names(text: str | None) -> list[str]:
    """The names in a comma-separated list; none when there is no list.

    Raises:
        CliError: there is no name in it.
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if text is not None and not names:
        raise CliError("--queues names no queue; write it like --queues default,media", exit_code=2)
    return names
