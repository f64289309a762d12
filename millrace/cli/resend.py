"""`millrace resend`: notifications once more through a channel, after a receiver has lost what it had."""

from __future__ import annotations

from typing import Annotated

import typer

from millrace.cli.jobs import point_in_time
from millrace.cli.options import DEFAULT_URL, Json, Url, ask
from millrace.cli.output import print_json

Channel = Annotated[str, typer.Argument(help="The channel, such as webhook or email.")]
Since = Annotated[str, typer.Option(help="What went out, or failed to, at this time or later.")]
User = Annotated[str | None, typer.Option(help="Only this user's.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count them.")]


def resend(
    channel: Channel,
    since: Since,
    user: User = None,
    dry_run: DryRun = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Sends notifications once more through a channel, under the ids that their receivers may know."""
    moment = point_in_time(since)
    count = ask(url, lambda app: app.notifications.resend_since(channel, moment, user_id=user, dry_run=dry_run))
    if as_json:
        return print_json({"channel": channel, "count": count, "dry_run": dry_run})
    return typer.echo(f"{count} notification(s) {'fit' if dry_run else 'are sent once more'}")
