"""The log of a command: for people in a terminal, JSON everywhere else; never on standard output."""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.types import Processor

from millrace.cli.errors import CliError

LEVEL_VARIABLE = "MILLRACE_LOG_LEVEL"


def configure_logs() -> None:
    """Sends the log to standard error, from the level in MILLRACE_LOG_LEVEL on; an application's own setup stays.

    Raises:
        CliError: there is no such level.
    """
    name = (os.environ.get(LEVEL_VARIABLE) or "info").upper()
    level = logging.getLevelNamesMapping().get(name)
    if level is None:
        raise CliError(f"{LEVEL_VARIABLE} is {name.lower()!r}; it must be debug, info, warning, error or critical")
    if structlog.is_configured():
        return
    for_people: list[Processor] = [structlog.dev.ConsoleRenderer()]
    for_programs: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *(for_people if sys.stderr.isatty() else for_programs),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
