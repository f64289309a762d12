"""The `progress` read model: how far work has got, with its stages, as it was recorded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.ports import RecordedEvent
from domain.progress import KIND
from domain.progress_events import Created, ProgressEvent, Removed
from projections import progress_schema as sql
from projections.progress_rows import Fixed, ProgressRow
from projections.projection import Connection, Statement, events_of
from projections.tables import VersionedTables

REMEMBERED = 10_000
ENDED = frozenset({"completed", "cancelled"})
Key = tuple[str, str]


@dataclass(slots=True)
class _Page:
    """What one page of events comes to, before it is written; by (tenant, id)."""

    created: dict[Key, Fixed] = field(default_factory=dict)
    touched: dict[Key, ProgressRow] = field(default_factory=dict)
    removed: set[Key] = field(default_factory=set)

    def rows(self) -> list[list[tuple[Any, ...]]]:
        """Rows of new progress, of changed ones, of stages and of children."""
        added = [self.touched[key].row(fixed) for key, fixed in self.created.items()]
        changed = [row.row() for key, row in self.touched.items() if key not in self.created]
        stages = [stage for row in self.touched.values() for stage in row.stages()]
        return [added, changed, stages, [child for row in self.touched.values() for child in row.children()]]


class ProgressProjection(VersionedTables):
    """Implements `projections.projection.Projection` and `AtOnce`."""

    name = "progress"
    kinds = frozenset({KIND})
    views: tuple[str, ...] = sql.TABLES
    definition = sql.CREATE

    def __init__(self) -> None:
        self._rows: OrderedDict[Key, ProgressRow] = OrderedDict()

    def forget(self) -> None:
        self._rows.clear()

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        page = await self._page(connection, version, events_of(KIND, events))
        if page.removed:
            keys = list(zip(*sorted(page.removed), strict=True))
            for statement in sql.REMOVE:
                await connection.execute(statement.format(v=version), *keys)
        statements = (sql.INSERT, sql.UPDATE, sql.PUT_STAGES, sql.PUT_CHILDREN)
        for statement, rows in zip(statements, page.rows(), strict=True):
            if rows:
                await connection.execute(statement.format(v=version), rows)
        self._let_go(page)

    async def at_once(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> Statement | None:
        """Implements `projections.projection.AtOnce`."""
        if not all(map(_only_adds, events)):
            return None
        page = await self._page(connection, version, events)
        statement = Statement(sql.AT_ONCE.format(v=version), tuple(page.rows()))
        self._let_go(page)
        return statement

    async def _page(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> _Page:
        await self._remember(connection, version, events)
        page = _Page()
        for recorded in events:
            self._fold(page, recorded)
        return page

    def _fold(self, page: _Page, recorded: RecordedEvent) -> None:
        key = recorded.stream.tenant, recorded.stream.id
        known = self._rows.get(key)
        if known is not None and recorded.version <= known.version:
            return
        match recorded.event:
            case Created() as event:
                if recorded.version > 1:
                    page.removed.add(key)
                self._rows[key], page.created[key] = ProgressRow.created(recorded, event)
            case Removed():
                page.removed.add(key)
                self._rows.pop(key, None)
                page.created.pop(key, None)
                page.touched.pop(key, None)
                return
            case _:
                if known is None:
                    return
                known.apply(recorded)
        page.touched[key] = self._rows[key]

    def _let_go(self, page: _Page) -> None:
        for key, row in page.touched.items():
            if row.progress.status in ENDED:
                self._rows.pop(key, None)
            else:
                row.written()
                self._rows.move_to_end(key)
        while len(self._rows) > REMEMBERED:
            self._rows.popitem(last=False)

    async def _remember(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        """Brings the rows into memory that the events change and this process has not just written itself."""
        created: set[Key] = set()
        wanted: dict[Key, None] = {}
        for recorded in events:
            key = recorded.stream.tenant, recorded.stream.id
            if recorded.version == 1:
                created.add(key)
            elif key not in created and key not in self._rows:
                wanted[key] = None
        missing = list(wanted)
        if not missing:
            return
        columns = list(zip(*missing, strict=True))
        stages: dict[Key, list[Any]] = {}
        for stage in await connection.fetch(sql.FETCH_STAGES.format(v=version), *columns):
            stages.setdefault((stage["tenant"], stage["id"]), []).append(stage)
        for found in await connection.fetch(sql.FETCH.format(v=version), *columns):
            key = found["tenant"], found["id"]
            self._rows[key] = ProgressRow.read(found, stages.get(key, ()))


def _only_adds(recorded: RecordedEvent) -> bool:
    """Whether rows come or change by the event, but none goes, which needs a statement before."""
    match recorded.event:
        case Removed():
            return False
        case Created():
            return recorded.version == 1
        case event:
            return isinstance(event, ProgressEvent)
