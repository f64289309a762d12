"""How the parts of `app.notifications` reach the service, and see what they have changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.contracts.wire import Token
from millrace.errors import LogReset
from millrace.link import Answer

if TYPE_CHECKING:
    from millrace.client import Millrace


class NotificationLink:
    """Commands and queries; what was changed through it is seen by what is read through it."""

    _app: Millrace
    _seen: str | None

    async def _execute(self, command: str, **body: Any) -> None:
        self._noted(await self._app.link.execute(f"notification.{command}", without_none(**body)))

    async def _query(self, query: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._app.link.query(query, body, min_position=self._seen)
        except LogReset:
            # The log is another one now, and nothing of what was sent before is to be waited for.
            self._seen = None
            return await self._app.link.query(query, body)

    def _noted(self, answer: Answer) -> Answer:
        """Remembers how far the log had come, so that what is read next is no older."""
        if answer.position is not None:
            new, seen = Token.parse(answer.position), self._seen and Token.parse(self._seen)
            if not seen or seen.epoch != new.epoch or seen.position < new.position:
                self._seen = answer.position
        return answer


def without_none(**body: Any) -> dict[str, Any]:
    """What is said, without what is not."""
    return {key: value for key, value in body.items() if value is not None}
