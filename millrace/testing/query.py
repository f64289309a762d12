"""What every query in memory is: the model of its body and how it is answered; and how pages go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from millrace.contracts.wire import Message
from millrace.testing.log import MemoryLog
from millrace.testing.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Query:
    """A question: the model of its body, and (tenant, question) to the answer."""

    model: type[Message]
    answer: Callable[[str, Any], dict[str, Any]]


def position_before(cursor: str | None, log: MemoryLog) -> int:
    """The position that a page continues before.

    Raises:
        Refusal: `invalid` for what no page has carried.
    """
    if cursor is None:
        return log.head + 1
    if not (cursor.isascii() and cursor.isdigit()):
        raise Refusal("invalid", "cursor: take it from the page before, as it is")
    return int(cursor)
