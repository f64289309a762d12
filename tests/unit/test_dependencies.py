"""What is declared, and that the lock says the same on every machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
NAME = re.compile(r"^[A-Za-z0-9._-]+")
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
