"""The service's own adapters keep the contracts of their ports."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.contracts.readers import ReadersContract
from domain.ports import Readers
from tests.support.stores import migrated, storing


class TestPostgresReaders(ReadersContract):
    @pytest.fixture
    async def readers(self, fresh_database_url: str) -> AsyncIterator[Readers]:
        async with storing(await migrated(fresh_database_url)) as storage:
            yield storage.readers
