"""The service's own adapters keep the contracts of their ports, and the page of the ports tells of all."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import import_module

import pytest

from adapters.contracts.readers import ReadersContract
from domain.ports import Readers
from infra.documents import DOCS
from tests.e2e.test_docs import blocks
from tests.support.installed import ROOT
from tests.support.stores import migrated, storing

PAGE = (DOCS / "ports.md").read_text()
PROTOCOL = re.compile(r"^class (\w+)\(Protocol\):", re.MULTILINE)


class TestPostgresReaders(ReadersContract):
    @pytest.fixture
    async def readers(self, fresh_database_url: str) -> AsyncIterator[Readers]:
        async with storing(await migrated(fresh_database_url)) as storage:
            yield storage.readers


def test_the_ports_that_the_page_names_are_declared_where_it_says() -> None:
    rows = re.findall(r"^\| (`.+?) \| `([\w/]+\.py)` \|", PAGE, re.MULTILINE)
    told = {(name, file) for names, file in rows for name in re.findall(r"`(\w+)`", names)}
    files = [
        *sorted((ROOT / "domain").rglob("*.py")),
        ROOT / "millrace/transport.py",
        ROOT / "millrace/serializers.py",
        ROOT / "adapters/channels/provider.py",
    ]
    real = {(name, str(file.relative_to(ROOT))) for file in files for name in PROTOCOL.findall(file.read_text())}
    assert len(told) >= 9
    assert told - {("JobPlugin", "millrace/job_plugins.py")} <= real


def test_every_suite_that_the_page_names_can_be_imported() -> None:
    suites = re.findall(r"`((?:adapters|millrace\.testing)\.contracts\.[\w.]+\.[A-Z]\w+)`", PAGE)
    assert len(suites) >= 5
    for suite in suites:
        module, _, name = suite.rpartition(".")
        assert [each for each in dir(getattr(import_module(module), name)) if each.startswith("test_")], suite
    for path in re.findall(r"`(tests/[\w/]+\.py)`", PAGE):
        assert (ROOT / path).is_file(), path


def test_the_snippets_of_the_page_are_those_of_the_example() -> None:
    snippets = blocks("ports.md")
    assert len(snippets) == len(re.findall(r"^```\w", PAGE, re.MULTILINE))
    for mark, text in snippets:
        if mark == "conftest.py":
            assert subprocess.run(
                [sys.executable, "-c", f"{text}\nimport adapters.contracts.readers"], check=True, cwd="/"
            )
        else:
            assert text in (ROOT / mark).read_text()
