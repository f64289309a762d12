"""The log of a command, on standard error: for people in a terminal, JSON elsewhere, if nothing says otherwise."""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.types import Processor

from millrace.cli.errors import CliError

LEVEL_VARIABLE = "MILLRACE_LOG_LEVEL"
FORMAT_VARIABLE = "MILLRACE_LOG_FORMAT"


def configure_logs() -> None:
    """Sends the log to standard error, from the level in MILLRACE_LOG_LEVEL on; an application's own setup stays.

    MILLRACE_LOG_FORMAT is `json`, `console`, or `auto`: `console` on a terminal, else `json`.

    Raises:
        CliError: there is no such level or format.
    """
    name = (os.environ.get(LEVEL_VARIABLE) or "info").upper()
    level = logging.getLevelNamesMapping().get(name)
    if level is None:
        raise CliError(f"{LEVEL_VARIABLE} is {name.lower()!r}; it must be debug, info, warning, error or critical")
    format_ = (os.environ.get(FORMAT_VARIABLE) or "auto").lower()
    if format_ not in ("auto", "console", "json"):
        raise CliError(f"{FORMAT_VARIABLE} is {format_!r}; it must be auto, console or json")
    if structlog.is_configured():
        return
    terminal = sys.stderr.isatty()
    for_people: list[Processor] = [structlog.dev.ConsoleRenderer(colors=terminal)]
    for_programs: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *(for_people if format_ == "console" or (format_ == "auto" and terminal) else for_programs),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
