"""`millrace notifications`: what users were told, and why something did not go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from millrace import Millrace, Notification
from millrace.cli.errors import CliError
from millrace.cli.options import DEFAULT_URL, Json, Url, ask, list_by_default
from millrace.cli.output import console, moment, print_found, print_json

PAGE = 1_000


def notifications() -> typer.Typer:
    """The group `notifications list|send|why`; without a command it lists."""
    group = typer.Typer(
        help="Lists notifications, sends one, and says why one did not go out.", invoke_without_command=True
    )

    @group.command("list")
    def list_(
        user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
        inbox: Annotated[bool, typer.Option(help="Only what the inbox shows now.")] = False,
        unread: Annotated[bool, typer.Option(help="Only unread ones.")] = False,
        status: Annotated[str | None, typer.Option(help="Of which some channel is queued, failed …")] = None,
        limit: Annotated[int, typer.Option(help="Most to list.", min=1, max=PAGE)] = 50,
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Lists notifications, newest first, with what became of each channel."""
        scope = "inbox" if inbox else "all"

        async def found(app: Millrace) -> list[Notification]:
            return await app.notifications.list(user, unread_only=unread, scope=scope, status=status, limit=limit)

        listed = ask(url, found)
        print_found(listed, as_json, _print)

    @group.command()
    def send(
        user: Annotated[str, typer.Argument(help="The user.")],
        title: Annotated[str, typer.Argument(help="What it says.")],
        message: Annotated[str, typer.Argument(help="More text.")] = "",
        channel: Annotated[list[str] | None, typer.Option(help="A channel; may be given several times.")] = None,
        type_: Annotated[str, typer.Option("--type", help="info, success, warning or error.")] = "info",
        category: Annotated[str | None, typer.Option(help="What preferences go by.")] = None,
        critical: Annotated[bool, typer.Option(help="Whatever preferences and quiet hours say.")] = False,
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Tells a user something, and prints the id of the notification and what is done in each channel."""
        given = {
            "user_id": user, "title": title, "message": message, "type": type_, "channels": channel or [],
            "critical": critical, **({} if category is None else {"category": category}),
        }  # fmt: skip
        sent = ask(url, lambda app: app.notifications.send(given))
        if as_json:
            return print_json(sent)
        typer.echo(" ".join([sent.id, *(f"{each.channel}={each.status}" for each in sent.deliveries)]))
        return None

    @group.command()
    def why(
        notification_id: Annotated[str, typer.Argument(metavar="ID", help="The notification.")],
        url: Url = DEFAULT_URL,
        as_json: Json = False,
    ) -> None:
        """Says for each channel what became of the notification, and why."""
        found = ask(url, lambda app: app.notifications.get(notification_id))
        if found is None:
            raise CliError(f"there is no notification {notification_id!r}")
        for each in found.deliveries:
            if as_json:
                print_json(each)
                continue
            until = f" until {moment(each.due_at)}" if each.due_at is not None else ""
            because = ": ".join(part for part in (each.reason, each.detail) if part)
            tries = f" after {each.attempts} attempt{'' if each.attempts == 1 else 's'}" if each.attempts else ""
            typer.echo(f"{each.channel}: {each.status}{until}{tries}" + (f", {because}" if because else ""))

    list_by_default(group, list_)
    return group


def _print(found: Sequence[Notification]) -> None:
    """A table with one line for each notification, ids in full."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("id", "user", "type", "title", "channels", "read", "sent"):
        table.add_column(title, no_wrap=True)
    for each in found:
        channels = " ".join(f"{delivery.channel}={delivery.reason or delivery.status}" for delivery in each.deliveries)
        said = Text(each.title, no_wrap=True, overflow="ellipsis")
        table.add_row(each.id, each.user_id, each.type, said, channels, moment(each.read_at), moment(each.timestamp))
    console().print(table)
