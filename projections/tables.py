"""The tables of a read model in one of its versions, and the views that the public reads them through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from projections.projection import Connection


class VersionedTables:
    """The part of a projection that is alike in all of them; one that remembers rows has a `forget` of its own.

    Attributes:
        views: the public names of the tables, without a version.
        definition: the statements that make the tables where they are not there yet, with `{v}` for the version.
    """

    views: tuple[str, ...]
    definition: ClassVar[str]

    async def create(self, connection: Connection, version: int) -> None:
        await connection.execute(self.definition.format(v=version))

    async def publish(self, connection: Connection, version: int) -> None:
        await connection.execute(
            "".join(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM {view}_v{version};\n" for view in self.views)
        )

    async def drop(self, connection: Connection, version: int) -> None:
        await connection.execute("".join(f"DROP TABLE IF EXISTS {table};\n" for table in self.tables(version)))

    def tables(self, version: int) -> Sequence[str]:
        return [f"{view}_v{version}" for view in self.views]

    def forget(self) -> None:
        """Nothing is remembered between pages."""
