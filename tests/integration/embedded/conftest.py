"""A data folder for each test."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.embedded_folder import DataFolder
from infra.embedded_leftovers import stop_leftovers


@pytest.fixture
async def data() -> AsyncIterator[Path]:
    """A data folder that does not exist yet, below one that is private as temporary folders are."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the packaged server is tested on Linux")
    with tempfile.TemporaryDirectory(prefix="millrace-test-") as parent:
        folder = DataFolder(Path(parent) / "data")
        yield folder.path
        # a test that killed the owner leaves what the owner's next start would have cleared away
        await stop_leftovers(folder.cluster)
        folder.remove_socket_folder()
