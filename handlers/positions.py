"""Position tokens: what a caller may continue from, and when it must be told that it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.errors import Refusal
from millrace.contracts.wire import Token


class UnreadableToken(Refusal):
    """Raised when a position is neither a token nor `beginning` nor `head`."""

    code = "invalid"


class OtherHistory(Refusal):
    """Raised when a token belongs to another log, or lies ahead of this one: a backup was restored, or the data folder
    is a new one. Whatever was built from that log must be built again."""

    code = "reset"

    def __init__(self, token: str, epoch: str, head: int) -> None:
        super().__init__(
            f"position {token} is not one of this log, whose newest is {epoch}-{head}; start again from 'beginning'"
        )
        self.token, self.epoch, self.head = token, epoch, head


class LogArchived(Refusal):
    """Raised when events after a position have been archived: whoever read on would miss them without a sign."""

    code = "gone"

    def __init__(self, position: int, mark: int, epoch: str) -> None:
        self.position, self.first = position, Token.text(epoch, mark)
        super().__init__(
            f"events after position {position} have been archived; the log is whole after {self.first}: begin there, or"
            " at 'beginning', and read what lies before from the archive"
        )

    @property
    def extra(self) -> Mapping[str, Any]:
        return {"first": self.first}


def position_of(text: str, epoch: str, head: int) -> int:
    """The position that a caller means.

    Raises:
        UnreadableToken: it is no position at all.
        OtherHistory: it is not one of this log.
    """
    if text == "beginning":
        return 0
    if text == "head":
        return head
    try:
        token = Token.parse(text)
    except ValueError as error:
        raise UnreadableToken(str(error)) from error
    if token.epoch != epoch or token.position > head:
        raise OtherHistory(text, epoch, head)
    return token.position
