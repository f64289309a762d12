"""What is declared, and that the lock says the same on every machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import millrace

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
NAME = re.compile(r"^[A-Za-z0-9._-]+")
SERVICE = ("domain", "projections", "handlers", "adapters", "infra")
# Who answers for a module: pydantic names the one version of its core, and several distributions share OpenTelemetry's.
OWNERS = {"pydantic_core": "pydantic", "opentelemetry": "opentelemetry-api"}
WANTED = (
    *("faststream", "aio-pika", "pydantic", "asyncpg", "eventsourcing", "redis", "weaviate-client", "cohere"),
    *("docxtpl", "reportlab", "minio", "opentelemetry-sdk", "pytest"),
)


def declared() -> set[str]:
    found: set[str] = set()
    for file in (ROOT / "pyproject.toml", ROOT / "packaging" / "server" / "pyproject.toml"):
        project = tomllib.loads(file.read_text())["project"]
        extras = [line for lines in project["optional-dependencies"].values() for line in lines]
        for requirement in [*project["dependencies"], *extras]:
            name = NAME.match(requirement)
            assert name
            found.add(name[0].lower())
    return found


@pytest.mark.parametrize("package", WANTED)
def test_a_wanted_package_is_declared_and_locked(package: str) -> None:
    assert package in declared()
    assert re.search(rf"^{package}==", LOCK, re.MULTILINE)


def test_the_lock_names_no_registry_and_gives_a_hash_for_every_package() -> None:
    assert "://" not in LOCK
    packages = re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE | re.IGNORECASE)[1:]
    assert all("--hash=sha256:" in package for package in packages)


def test_everything_declared_is_locked() -> None:
    locked = {name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)==", LOCK, re.MULTILINE)}
    assert declared() - locked <= {"millrace", "millrace-server"}


def direct(file: str) -> set[str]:
    lines = tomllib.loads((ROOT / file).read_text())["project"]["dependencies"]
    return {found[0].lower() for line in lines if (found := NAME.match(line))}


def imported(*folders: str) -> set[str]:
    """The distributions whose modules the folders import, wherever in the code that is."""
    modules: set[str] = set()
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    modules.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module is not None:
                    modules.add(node.module.partition(".")[0])
    modules -= {*sys.stdlib_module_names, *SERVICE, "millrace", "millrace_server"}
    found = packages_distributions()
    return {OWNERS.get(module) or found[module][0].lower().replace("_", "-") for module in modules}


def test_the_service_declares_every_package_that_it_imports() -> None:
    # The suites for adapters need pytest, which whoever runs them has.
    assert imported(*SERVICE) - direct("packaging/server/pyproject.toml") == {"pytest"}


def test_the_client_declares_every_package_that_it_imports() -> None:
    # Tracing joins in where the application has OpenTelemetry, and the fixtures where it has pytest.
    assert imported("millrace") - direct("pyproject.toml") <= {"opentelemetry-api", "pytest"}


@pytest.mark.parametrize("module", ["millrace", "millrace.contracts.wire", "millrace.contracts.job"])
def test_contracts_are_imported_without_the_client(module: str) -> None:
    code = f"import {module}, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert {"aio_pika", "aiormq", "httpx", "typer", "rich", "millrace.client"} & set(loaded.stdout.split()) == set()


def test_every_public_name_is_there() -> None:
    for name in millrace.__all__:
        assert getattr(millrace, name).__name__ == name
    assert set(millrace.__all__) <= set(dir(millrace))
    with pytest.raises(AttributeError, match="'millrace' has no attribute 'Nothing'"):
        getattr(millrace, "Nothing")  # noqa: B009
