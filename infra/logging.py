"""Structured logs of ours and of the libraries, for programs or people, with correlation ids and without secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TextIO

import structlog
from structlog.types import Processor

from infra.redaction import redact_secrets
from infra.settings import Format, Logging
from infra.settings_aliases import MODULE_SPELLINGS

MODULE_STEMS: Mapping[str, str] = {
    "jobs": "job",
    "progress": "progress",
    "notifications": "notification",
    "exports": "export",
    "cache": "cache",
    "search": "search",
}
LAYERS = ("domain", "projections", "handlers", "adapters.http", "adapters.amqp")


def configure_logging(settings: Logging, stream: TextIO | None = None) -> None:
    """Send every log record of this process to `stream`. A second call replaces the first.

    Args:
        settings: which records, and in which format.
        stream: default: standard error.
    """
    target = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # after all that adds something
            redact_secrets,
            _renderer(settings.format, target.isatty()),
        ],
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for name, level in settings.modules.items():
        for logger in logger_names(name):
            logging.getLogger(logger).setLevel(level.upper())


def _renderer(format_: Format, terminal: bool) -> Processor:
    if format_ == "json" or (format_ == "auto" and not terminal):
        return structlog.processors.JSONRenderer(default=str)
    # tracebacks are text already, without secrets
    return structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback)


def logger_names(module: str) -> tuple[str, ...]:
    """The loggers that a name in `logging.modules` means: a module's in every layer, else the logger of that name."""
    stem = MODULE_STEMS.get(MODULE_SPELLINGS.get(module, module))
    return (module,) if stem is None else (module, *(f"{layer}.{stem}" for layer in LAYERS))


def correlated(**ids: str | None) -> AbstractContextManager[None]:
    """Add ids (`correlation`, `tenant`, `command` …) to what is logged inside, in this task and those it starts."""
    return structlog.contextvars.bound_contextvars(**{name: value for name, value in ids.items() if value is not None})
