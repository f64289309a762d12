"""Environments in which Millrace is installed from its wheels, and the checkout cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "packaging" / "server"
SECONDS = 90


def built_wheel(source: Path, folder: Path) -> Path:
    """The wheel of the distribution in `source`, built with the backend that is installed here."""
    before = set(folder.glob("*.whl"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(source)]
    run(command, folder)
    (wheel,) = set(folder.glob("*.whl")) - before
    return wheel


def environment_with(wheels: Sequence[Path], folder: Path) -> Path:
    """A virtual environment with the wheels and our own environment's dependencies; returns its `bin`.

    The dependencies are linked one by one, without what makes the checkout importable: an installation in place is
    a `.pth` file.
    """
    home = folder / "env"
    venv.create(home, with_pip=False)
    dependencies = folder / "dependencies"
    dependencies.mkdir()
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if entry.suffix != ".pth" and "millrace" not in entry.name:
                (dependencies / entry.name).symlink_to(entry)
    (site_packages,) = home.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(f"{dependencies}\n")
    python = str(home / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install"]
    if wheels:
        run([*pip, "--quiet", "--no-deps", "--no-index", *map(str, wheels)], folder)
    return home / "bin"


def clean_environment(programs: Path) -> dict[str, str]:
    """This process's variables without those that lead Python or Millrace somewhere else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MILLRACE", "COV"))}
    for name in ("DATABASE_URL", "RABBITMQ_URL", "REDIS_URL", "VIRTUAL_ENV"):
        kept.pop(name, None)
    return {**kept, "PATH": f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}"}


def run(command: Sequence[str], folder: Path) -> str:
    """What the command prints; fails with its whole output where the command does."""
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
