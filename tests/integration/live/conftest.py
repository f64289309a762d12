"""A service with a tenant of its own, and a browser."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.browser import Page, browsing
from tests.support.react_page import Place
from tests.support.running import running


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    async with running(database_url, http=False) as service:
        yield Place(service, f"t-{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browsing(tmp_path / "profile") as page:
        yield page
