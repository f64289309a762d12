"""Where the service's code lies, and how its commands are run as a process of their own.

The service has top-level packages with everyday names (`domain`, `handlers`, `adapters`, `infra`). They are put on the
path of the service's process alone, so that an application's packages of the same names never meet them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import millrace
from millrace.cli.errors import ServiceNotInstalled

SERVICE_PACKAGE = "millrace_server"


def service_root() -> Path:
    """The folder that holds the service's packages: the checkout's root, or the installed server package.

    Raises:
        ServiceNotInstalled: neither is there.
    """
    candidates = [Path(folder).parent for folder in millrace.__path__]
    spec = importlib.util.find_spec(SERVICE_PACKAGE)
    if spec is not None:
        candidates.extend(Path(location) for location in spec.submodule_search_locations or ())
    return find_service(candidates)


def find_service(candidates: Iterable[Path]) -> Path:
    """The first folder of `candidates` that holds the service's packages.

    Raises:
        ServiceNotInstalled: none does.
    """
    for folder in candidates:
        if (folder / "infra" / "main.py").is_file() and (folder / "domain").is_dir():
            return folder.resolve()
    raise ServiceNotInstalled()


def service_command(arguments: Sequence[str], module: str = "infra.main") -> list[str]:
    """The command line that runs a module of the service; `-P` keeps the current folder off its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def service_environment(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with the service's folder first on the path."""
    inherited = environment.get("PYTHONPATH")
    path = os.pathsep.join([str(root), *([inherited] if inherited else [])])
    return {**environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def become_service(arguments: Sequence[str]) -> NoReturn:
    """Replaces this process by the service's command, which then owns the terminal, signals and exit code.

    Raises:
        ServiceNotInstalled: the service is not installed here.
    """
    environment = service_environment(service_root(), os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, service_command(arguments), environment)
