"""The two wheels, installed: an application with packages of our folders' very names runs beside the service."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from millrace import Millrace
from tests.e2e.test_docs import blocks
from tests.support.installed import ROOT, SERVER, built_wheel, clean_environment, environment_with, run
from tests.support.up import up

INSTALL = "pip install . ./packaging/server"
OWN_PACKAGES = ("domain", "projections", "handlers", "adapters", "infra")
TASKS = f"""
import importlib
import sys

from millrace import Millrace

app = Millrace()
OWN = {[f"{package}.thing" for package in OWN_PACKAGES]}


@app.job
async def where() -> dict[str, object]:
    found = {{name: importlib.import_module(name).__file__ for name in OWN}}
    return {{"files": found, "server": "millrace_server" in sys.modules, "path": sys.path}}
"""


@dataclass(frozen=True)
class Wheels:
    client: Path
    server: Path


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    folder = tmp_path_factory.mktemp("wheels")
    return Wheels(built_wheel(ROOT, folder), built_wheel(SERVER, folder))


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: the path of the embedded server's socket must be short.
    with tempfile.TemporaryDirectory(prefix="millrace-wheels-") as made:
        yield Path(made)


def names(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        return archive.namelist()


def test_a_wheel_puts_one_package_into_site_packages(wheels: Wheels) -> None:
    assert {name.partition("/")[0] for name in names(wheels.client)} == {"millrace", "millrace-0.1.0.dist-info"}
    server = {name.partition("/")[0] for name in names(wheels.server)}
    assert server == {"millrace_server", "millrace_server-0.1.0.dist-info"}


@pytest.mark.parametrize("package", OWN_PACKAGES)
def test_every_file_of_the_service_that_it_needs_is_in_its_wheel(wheels: Wheels, package: str) -> None:
    suffixes = (".py", ".sql")
    wanted = {
        f"millrace_server/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / package).rglob("*")
        if path.suffix in suffixes and "services" not in path.parts
    }
    assert wanted <= set(names(wheels.server))


def test_the_client_wheel_is_typed_and_describes_itself(wheels: Wheels) -> None:
    assert "millrace/py.typed" in names(wheels.client)
    with ZipFile(wheels.client) as archive:
        metadata = archive.read("millrace-0.1.0.dist-info/METADATA").decode()
    assert "Description-Content-Type: text/markdown" in metadata


def test_without_the_server_wheel_one_line_says_how_to_get_it(wheels: Wheels, folder: Path) -> None:
    programs = environment_with([wheels.client], folder)
    done = subprocess.run(
        ["millrace", "up"],
        executable=programs / "millrace",
        cwd=folder,
        env=clean_environment(programs),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert INSTALL in done.stderr


def test_what_the_guide_says_installs_client_and_service_from_a_checkout(folder: Path) -> None:
    (shown,) = [text.strip() for mark, text in blocks("client.md") if mark == "install"]
    assert shown == INSTALL
    programs = environment_with([], folder)
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
    offline = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run([*pip, "install", *offline, *shlex.split(shown.removeprefix("pip install "))], ROOT)
    assert "listen" in run([str(programs / "millrace"), "serve", "--help"], folder)


async def test_an_applications_own_packages_never_meet_ours(wheels: Wheels, folder: Path) -> None:
    programs = environment_with([wheels.client, wheels.server], folder)
    application = folder / "application"
    for package in OWN_PACKAGES:
        (application / package).mkdir(parents=True)
        (application / package / "__init__.py").touch()
        (application / package / "thing.py").write_text(f"NAME = {package!r}\n")
    (application / "tasks.py").write_text(TASKS)
    python = str(programs / "python")
    ours = json.loads(run([python, "-P", "-c", "import json, sys; print(json.dumps(sys.path))"], folder))
    assert str(ROOT) not in ours

    async with up(programs, application, folder / "data") as url, Millrace(url) as app:
        job = await app.jobs.enqueue("where", {})
        found = await app.jobs.result(job.id, timeout=30)
        done = await app.jobs.get_job(job.id)
    assert done is not None
    assert done.status == "completed"
    assert found["files"] == {f"{name}.thing": str(application / name / "thing.py") for name in OWN_PACKAGES}
    assert not found["server"]
    assert not any("millrace_server" in entry or entry == str(ROOT) for entry in found["path"])
