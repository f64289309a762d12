"""The service's own adapters keep the contracts of their ports, and the page of the ports tells of all."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from inspect import isclass
from pkgutil import iter_modules

import pytest

import adapters.contracts
import millrace.testing.contracts
from adapters.contracts.readers import ReadersContract
from domain.ports import Readers
from infra.documents import DOCS
from tests.e2e.test_docs import blocks
from tests.support.installed import ROOT
from tests.support.stores import migrated, storing

PAGE = (DOCS / "ports.md").read_text()
PORT = re.compile(r"^class (\w+(?=\((?:Protocol|Plugin)\):))", re.MULTILINE)
GROUP = re.compile(r"^(?:GROUP|ENTRY_POINTS) = \"(millrace\.\w+)\"", re.MULTILINE)
PROVIDER = ROOT / "adapters/channels/provider.py"
# What a handler is given, made by Millrace itself.
WITHIN = {"Keeper", "Writer"}


class TestPostgresReaders(ReadersContract):
    @pytest.fixture
    async def readers(self, fresh_database_url: str) -> AsyncIterator[Readers]:
        async with storing(await migrated(fresh_database_url)) as storage:
            yield storage.readers


def test_the_page_tells_of_every_port_and_where_it_is_declared_and_of_no_other() -> None:
    rows = re.findall(r"^\| (`.+?) \| `([\w/]+\.py)` \|", PAGE, re.MULTILINE)
    told = {(name, file) for names, file in rows for name in re.findall(r"`(\w+)`", names)}
    declared = {
        (name, str(file.relative_to(ROOT)))
        for file in [*(ROOT / "domain").rglob("*.py"), *(ROOT / "millrace").glob("*.py"), PROVIDER]
        for name in PORT.findall(file.read_text())
    }
    assert told == {(name, file) for name, file in declared if name not in WITHIN}


def test_the_page_names_every_suite_that_can_be_imported_and_no_other() -> None:
    told = set(re.findall(r"`((?:adapters|millrace\.testing)\.contracts\.[\w.]+\.[A-Z]\w+)`", PAGE))
    beside = set(re.findall(r"`([A-Z]\w+Suite)`", PAGE))
    suites = {
        f"{module.__name__}.{name}": suite
        for package in (adapters.contracts, millrace.testing.contracts)
        for each in iter_modules(package.__path__, f"{package.__name__}.")
        for module in [import_module(each.name)]
        for name, suite in vars(module).items()
        if isclass(suite)
        and suite.__module__ == module.__name__
        and any(test.startswith("test_") for test in dir(suite))
    }
    # What is a part of another one is not for itself.
    parts = {base for suite in suites.values() for base in suite.__mro__[1:]}
    whole = {name for name, suite in suites.items() if suite not in parts and name.rpartition(".")[2] not in beside}
    assert whole <= told <= suites.keys()
    assert beside <= {name.rpartition(".")[2] for name in suites}


def test_every_group_of_entry_points_is_on_the_page() -> None:
    files = [*(ROOT / "millrace").rglob("*.py"), *(ROOT / "infra").rglob("*.py")]
    groups = {group for file in files for group in GROUP.findall(file.read_text())}
    assert len(groups) >= 4
    for group in groups:
        assert f"`{group}`" in PAGE, group


def test_the_tests_that_the_page_names_are_there() -> None:
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
