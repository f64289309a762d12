"""`app.progress`: how far long work has got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contracts.progress import Progress, ProgressStatus
from millrace.errors import NotFound
from millrace.progress_commands import ProgressCommands
from millrace.progress_plugins import ProgressEmitter, ProgressHooks
from millrace.progress_subscriptions import Callback, ProgressSubscriptions

if TYPE_CHECKING:
    from millrace.client import Millrace

# The methods below include one called `list`.
Found = list[Progress]


@dataclass(frozen=True, slots=True)
class ProgressPage:
    """Some progress, newest first, and the cursor of the next page, if there is one."""

    progress: Found
    cursor: str | None


class ProgressStorage:
    """Where progress is kept: with the service, whose URL this is. The service knows its database by itself.

    Args:
        url: `http(s)://…` or `amqp(s)://…`; default as for `Millrace`.
        database_url: of the service's database, which a client needs not and does not open.
    """

    def __init__(self, url: str | None = None, *, database_url: str | None = None) -> None:
        self.url, self.database_url = url, database_url


class PostgreSQLProgressStorage(ProgressStorage):
    """The storage by the name of the database that the service has. There is no other kind."""


class ProgressTracker(ProgressCommands, ProgressHooks):
    """The progress of long work: what `ProgressCommands` changes, read and followed.

    `ProgressTracker(storage=…, emitter=…)` is the same as `Millrace(…).progress` with the emitter registered.

    Args:
        storage: an application, the service's URL, or a `ProgressStorage`; default as for `Millrace`.
        emitter: see `register_emitter`.
    """

    def __init__(
        self, storage: Millrace | ProgressStorage | str | None = None, *, emitter: ProgressEmitter | None = None
    ) -> None:
        from millrace.client import Millrace

        url = storage.url if isinstance(storage, ProgressStorage) else storage
        self._app = app = url if isinstance(url, Millrace) else Millrace(url)
        super().__init__(lambda: app.link)
        self.plugin_failures: Counter[str] = Counter()
        if emitter is not None:
            self.register_emitter(emitter)
        self._subscriptions = ProgressSubscriptions(app)

    def subscribe(self, id: str, callback: Callback, *, samples: bool = True) -> Callable[[], None]:
        """Calls `callback` with the progress as it is, and again after each event, until what is returned is called.

        It also sees what is not recorded, between the events: then `version` stays the same. One that raises is logged
        and called again all the same. Closing the application ends it too.

        Args:
            callback: `async def` or plain.
            samples: whether it wants to see those.

        Raises:
            RuntimeError: there is no running event loop.
        """
        return self._subscriptions.add(id, callback, samples)

    def unsubscribe_all(self) -> None:
        """Ends every subscription of this application."""
        self._subscriptions.end()

    async def get(self, id: str, *, min_position: str | None = None) -> Progress | None:
        """What is recorded, or None where there is no such progress."""
        try:
            answer = await self._app.link.query("progress.get", {"progress_id": id}, min_position=min_position)
        except NotFound:
            return None
        return Progress.model_validate(answer["progress"])

    async def list(self, **filters: Any) -> Found:
        """The newest; see `list_page`."""
        return (await self.list_page(**filters)).progress

    async def list_page(
        self,
        *,
        status: ProgressStatus | str | None = None,
        user_id: str | None = None,
        type: str | None = None,
        parent_id: str | None = None,
        stalled: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
        min_position: str | None = None,
    ) -> ProgressPage:
        """Some progress, newest first, those that fit all filters.

        Args:
            parent_id: the parts of that one.
            stalled: those of which nothing was heard for too long, or the others.
            cursor: of the page before.
        """
        filters = {
            "status": status, "user_id": user_id, "type": type, "parent_id": parent_id, "stalled": stalled,
            "limit": limit, "cursor": cursor,
        }  # fmt: skip
        body = {name: value for name, value in filters.items() if value is not None}
        answer = await self._app.link.query("progress.list", body, min_position=min_position)
        return ProgressPage([Progress.model_validate(each) for each in answer["progress"]], answer["cursor"])
