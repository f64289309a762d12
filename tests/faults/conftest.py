"""Every test here kills, cuts or delays real servers; `-m faults` selects them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.harness.bench import Bench, bench
from tests.faults.harness.folders import temporary

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)
            # A client whose server is killed leaves tasks behind that its library never ends.
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture
def passable() -> Iterator[Path]:
    """A folder of the test's own that every user can pass through: the PostgreSQL of root runs as another one.

    Not among pytest's, which are closed to others, and are closed again whenever another run begins.
    """
    folder = temporary("millrace-faults-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture
async def run(passable: Path) -> AsyncIterator[Bench]:
    async with bench(passable) as made:
        yield made
