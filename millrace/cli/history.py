"""`millrace history`: everything that happened to one thing."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from millrace.cli.errors import CliError
from millrace.cli.options import DEFAULT_URL, Json, Url, ask
from millrace.cli.output import console, detail, moment, print_json


def history(
    kind: Annotated[str, typer.Argument(help="What it is: job, subscription …")],
    id_: Annotated[str, typer.Argument(metavar="ID", help="Its id.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Prints all events of one aggregate, oldest first."""
    events = ask(url, lambda app: app.history(kind, id_))
    if not events:
        raise CliError(f"there is no {kind} {id_!r}")
    if as_json:
        for event in events:
            print_json(event)
        return
    table = Table(box=SIMPLE_HEAD, title=f"{kind} {id_}", title_justify="left")
    for title in ("version", "time", "event", "data"):
        table.add_column(title, no_wrap=True)
    for event in events:
        table.add_row(str(event.version), moment(event.time), event.eventtype, Text(detail(event)))
    console().print(table)
