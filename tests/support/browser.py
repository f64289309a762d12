"""The browser of the tests; without one they are skipped, or where it could be installed they fail."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import chromium
from tests.support.chromium import Page

__all__ = ["Page", "browsing", "needed"]


def needed() -> None:
    """Goes on where there is a browser. As root its absence is a failure, since `scripts/browser.sh` installs it."""
    try:
        chromium.found()
    except chromium.BrowserMissing as missing:
        if os.geteuid() == 0:
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Page]:
    """An empty tab of a browser of its own, whose profile is in the folder."""
    needed()
    async with chromium.browsing(folder) as page:
        yield page
