"""`serve`, `migrate`, `doctor` and `topology`: commands of the service itself, run with the terminal attached."""

from __future__ import annotations

from typing import Any

import typer

from millrace.cli.service import become_service


def serve(context: typer.Context) -> None:
    """Starts the service, or some of its roles: --roles api,relay,projector,timers (`serve --help` lists the rest)."""
    become_service(["serve", *context.args])


def migrate(context: typer.Context) -> None:
    """Brings the database of DATABASE_URL, or of --data DIR, to this version's schema."""
    become_service(["migrate", *context.args])


def release(context: typer.Context) -> None:
    """Lets a read model digest a stream that it holds, as `doctor` names it, after the cause has been removed."""
    become_service(["release", *context.args])


def archive(context: typer.Context) -> None:
    """Moves the events of jobs that were removed long ago from the log into the storage: --after SECONDS."""
    become_service(["archive", *context.args])


def doctor(context: typer.Context) -> None:
    """Checks the database, the broker, the read models and the settings that it is given, and says what helps."""
    become_service(["doctor", *context.args])


def topology(settings: dict[str, Any]) -> typer.Typer:
    """The group `topology apply|check|export`: the broker's exchanges and queues."""
    group = typer.Typer(help="Declares, checks or prints the broker's exchanges and queues.", no_args_is_help=True)

    @group.command(context_settings=settings, add_help_option=False)
    def apply(context: typer.Context) -> None:
        """Declares everything; repeating it changes nothing."""
        become_service(["topology", "apply", *context.args])

    @group.command(context_settings=settings, add_help_option=False)
    def check(context: typer.Context) -> None:
        """Tells what is missing or different."""
        become_service(["topology", "check", *context.args])

    @group.command(context_settings=settings, add_help_option=False)
    def export(context: typer.Context) -> None:
        """Prints the definitions as JSON, for a broker that loads them at boot."""
        become_service(["topology", "export", *context.args])

    return group
