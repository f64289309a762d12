"""Collects the service's folders into the distribution, from a checkout or from an unpacked source distribution."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("domain", "projections", "handlers", "adapters", "infra", "web")
DEVELOPMENT_ONLY = {"infra/services", "infra/services.sh", "infra/Dockerfile"}


class ServiceFolders(BuildHookInterface[Any]):
    """Adds every file of the service: to a wheel under `millrace_server/`, to a source archive under `service/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        unpacked = Path(self.root) / "service"
        origin = unpacked if unpacked.is_dir() else Path(self.root).parents[1]
        target = "service" if self.target_name == "sdist" else "millrace_server"
        for name, path in files(origin):
            build_data["force_include"][str(path)] = f"{target}/{name}"


def files(origin: Path) -> Iterator[tuple[str, Path]]:
    for folder in FOLDERS:
        if not (origin / folder).is_dir():
            raise FileNotFoundError(
                f"{origin / folder} is missing: build from a checkout or from the source distribution"
            )
        for path in sorted((origin / folder).rglob("*")):
            name = path.relative_to(origin).as_posix()
            shipped = path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
            if shipped and not any(name == skip or name.startswith(skip + "/") for skip in DEVELOPMENT_ONLY):
                yield name, path
