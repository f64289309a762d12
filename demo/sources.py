"""The real input: the source files of the Python that runs the demo."""

from __future__ import annotations

import sysconfig
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OTHER_PEOPLES_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__"})
PLANTED = "planted/does_not_parse.py"
PLANTED_SOURCE = b"def broken(:\n    pass\n"
SMALL_PACKAGE = 3


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to analyze: `path` is relative to `root`, with forward slashes."""

    root: str
    path: str

    @property
    def package(self) -> str:
        head, separator, _ = self.path.partition("/")
        return head if separator else head.removesuffix(".py")


def standard_library() -> list[SourceFile]:
    """All source files of the running Python's standard library, its own test suite included, sorted by path."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = (path.relative_to(root) for path in root.rglob("*.py"))
    own = (path for path in paths if not OTHER_PEOPLES_FOLDERS.intersection(path.parts))
    return [SourceFile(str(root), path.as_posix()) for path in sorted(own)]


def small_packages(files: Sequence[SourceFile]) -> set[str]:
    """The packages with few files (single modules included), which the demo lets go first."""
    return {package for package, count in Counter(file.package for file in files).items() if count <= SMALL_PACKAGE}


def plant_broken_file(folder: Path) -> SourceFile:
    """Writes a file that no Python parses, named so that nobody takes it for a real one."""
    target = folder / PLANTED
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(PLANTED_SOURCE)
    return SourceFile(str(folder), PLANTED)
