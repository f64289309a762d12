"""A virtual environment for each peer, made when it first takes part, so that none pays for another's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.options import ROOT
from benchmarks.registry import Entry

HOME = ROOT / "benchmarks" / ".venvs"
INSTALL_SECONDS = 600


class PeerUnavailable(Exception):
    """Raised when a peer cannot take part on this machine; it is left out, and the report says why."""


def python_of(entry: Entry) -> Path:
    """The interpreter with the peer's packages.

    Raises:
        PeerUnavailable: no Python of its version is here, or its packages cannot be installed.
    """
    if not entry.packages:
        return Path(sys.executable)
    folder = HOME / entry.environment
    python, stamp, key = folder / "bin" / "python", folder / "packages", "\n".join(entry.packages)
    if python.exists() and stamp.exists() and stamp.read_text() == key:
        return python
    base = _interpreter(entry.python)
    shutil.rmtree(folder, ignore_errors=True)
    HOME.mkdir(exist_ok=True)
    for command in ([base, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *entry.packages]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise PeerUnavailable(f"{' '.join(entry.packages)} cannot be installed: {' '.join(reason)}")
    stamp.write_text(key)
    return python


def versions(python: Path, entry: Entry) -> dict[str, str]:
    """The versions of the peer's own packages, as installed."""
    listing = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True).stdout
    installed = dict(line.split("==", 1) for line in listing.splitlines() if "==" in line)
    wanted = {package.partition("[")[0] for package in entry.packages}
    return {name: version for name, version in installed.items() if name in wanted}


def _interpreter(oldest: tuple[int, int]) -> str:
    """A Python of at least this version, preferably the running one."""
    for candidate in _candidates(oldest):
        check = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {oldest!r})"
        try:
            if not subprocess.run([candidate, "-c", check], capture_output=True, timeout=20).returncode:
                return candidate
        except (OSError, subprocess.TimeoutExpired):
            continue
    wanted = ".".join(map(str, oldest))
    raise PeerUnavailable(f"it needs Python {wanted} or newer; install one, or set PYTHON{wanted.replace('.', '')}")


def _candidates(oldest: tuple[int, int]) -> Iterator[str]:
    if sys.version_info >= oldest:
        yield sys.executable
    for minor in range(oldest[1], oldest[1] + 4):
        if named := os.environ.get(f"PYTHON3{minor}"):
            yield named
        if found := shutil.which(f"python3.{minor}"):
            yield found
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        yield from (str(folder / "bin" / "python") for folder in sorted(pyenv.glob(f"3.{minor}.*")))
