"""Every test here kills, cuts or delays real servers; `-m faults` selects them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.harness.bench import Bench, bench

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def passable(tmp_path: Path) -> Path:
    """A folder of the test's own; the PostgreSQL of root runs as another user, who has to pass through."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == tmp_path or folder.name.startswith("pytest"):
            folder.chmod(0o711)
    return tmp_path


@pytest_asyncio.fixture
async def run(passable: Path) -> AsyncIterator[Bench]:
    async with bench(passable) as made:
        yield made
