"""Options that several commands share, and the way they reach the service."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from millrace import Millrace
from millrace.cli.logs import configure_logs
from millrace.contracts.wire import DEFAULT_TENANT

ANSWER_TIMEOUT = 5.0
DEFAULT_URL = "http://127.0.0.1:8000"
T = TypeVar("T")

Url = Annotated[str, typer.Option("--url", envvar="MILLRACE_URL", help="Where the service is: http://… or amqp://…")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output, one JSON value per line.")]


def list_by_default(group: typer.Typer, list_: Callable[..., None]) -> None:
    """Has a group that is given no command list, as `list_(url=…, as_json=…)` does."""

    @group.callback()
    def default(context: typer.Context, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
        if context.invoked_subcommand is None:
            list_(url=url, as_json=as_json)


def ask(url: str, question: Callable[[Millrace], Awaitable[T]]) -> T:
    """Connects to the service at `url` in the name of the tenant in MILLRACE_TENANT, asks, disconnects.

    Log lines go to standard error; standard output has what was asked for alone.
    """
    configure_logs()
    tenant = os.environ.get("MILLRACE_TENANT") or DEFAULT_TENANT

    async def run() -> T:
        async with Millrace(url, tenant=tenant, timeout=ANSWER_TIMEOUT) as app:
            return await question(app)

    return asyncio.run(run())
