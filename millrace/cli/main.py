"""Entry point of the `millrace` command."""

from __future__ import annotations

import os
import sys

import typer

from millrace.cli.commands import register
from millrace.cli.errors import CliError, explained

DEBUG_VARIABLE = "MILLRACE_DEBUG"


def build() -> typer.Typer:
    """The command line with all its commands."""
    app = typer.Typer(
        name="millrace",
        help="Background jobs and events on one durable log.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    register(app)
    return app


def main() -> None:
    """Runs the command line; what goes wrong is one line on standard error, unless MILLRACE_DEBUG is set."""
    try:
        sys.exit(build()(prog_name="millrace", standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        failure = wrong_usage(error) or explained(error)
        if failure.message:
            typer.echo(failure.message if "\n" in failure.message else f"millrace: {failure.message}", err=True)
        sys.exit(failure.exit_code)


def wrong_usage(error: Exception) -> CliError | None:
    """What typer says about wrong arguments, as one line; empty or the help itself where no command was given.

    Its exceptions are told by their shape: their classes have moved between releases.
    """
    describe, context = getattr(error, "format_message", None), getattr(error, "ctx", None)
    if not callable(describe):
        return None
    message = str(describe())
    if context is not None and message and "\n" not in message:
        message = f"{message.rstrip('.')}; see {context.command_path} --help"
    return CliError(message, exit_code=2)


if __name__ == "__main__":
    main()
