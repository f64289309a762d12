"""Cursors of lists whose order is that of the log: a page continues before a position."""

from __future__ import annotations

from domain.errors import Refusal

CURSOR_DIGITS = 18


class UnreadableCursor(Refusal):
    """Raised when a list cursor is not one that a page carried."""

    code = "invalid"

    def __init__(self) -> None:
        super().__init__("cursor: take it from the page before, as it is")


def position_before(cursor: str | None) -> int | None:
    """The position that a page continues before; None for the first page.

    Raises:
        UnreadableCursor: no page has carried it.
    """
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= CURSOR_DIGITS):
        raise UnreadableCursor
    return int(cursor)
