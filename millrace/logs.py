"""Log lines of the client: to `structlog` where the application has set it up, else to the standard library's logging.

By itself `structlog` prints every line to standard output, which belongs to the program that uses the client.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import structlog

Method = Literal["debug", "info", "warning", "error", "exception"]


class Log:
    """The log of one part of the client.

    Args:
        name: of the logger in either, such as `millrace.progress`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        self.write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self.write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self.write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self.write("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """As `error`, with the exception that is being handled."""
        self.write("exception", event, fields)

    def write(self, method: Method, event: str, fields: dict[str, Any]) -> None:
        """Writes a line by the name of a method."""
        if structlog.is_configured():
            getattr(structlog.get_logger(self._name), method)(event, **fields)
            return
        # No `extra`: a field may have the name of something that a record has.
        text = " ".join((event, *(f"{name}={value!r}" for name, value in fields.items() if name != "exc_info")))
        getattr(logging.getLogger(self._name), method)(
            "%s", text, exc_info=fields.get("exc_info", method == "exception")
        )
