"""A plug-in of somebody else's package, installed from its wheel: `millrace worker` finds it by its entry point."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from millrace import Millrace
from tests.support.eventually import eventually
from tests.support.installed import ROOT, built_wheel, clean_environment, environment_with
from tests.support.service import running_service

DEADLINE = 60.0
PROJECT = """
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "millrace-audit"
version = "0.1.0"
dependencies = ["millrace"]

[project.entry-points."millrace.jobs"]
audit = "millrace_audit:Audit"

[tool.hatch.build.targets.wheel]
packages = ["millrace_audit"]
"""
PLUGIN = """
import json, os
from pathlib import Path

from millrace import Job, JobPlugin


class Audit(JobPlugin):
    def on_complete(self, job: Job) -> None:
        line = json.dumps({"id": job.id, "result": job.result})
        with Path(os.environ["AUDIT"]).open("a") as file:
            file.write(line + "\\n")
"""
TASKS = """
from millrace import Millrace

app = Millrace()


@app.job
async def double(n: int) -> int:
    return 2 * n
"""


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="millrace-plugin-") as made:
        folder = Path(made)
        source = folder / "source"
        (source / "millrace_audit").mkdir(parents=True)
        (source / "pyproject.toml").write_text(PROJECT)
        (source / "millrace_audit" / "__init__.py").write_text(PLUGIN)
        (folder / "wheels").mkdir()
        yield environment_with([built_wheel(each, folder / "wheels") for each in (ROOT, source)], folder)


@pytest.fixture
def application(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


@asynccontextmanager
async def worker(programs: Path, application: Path, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`millrace worker` of the environment, in the application's folder."""
    process = await asyncio.create_subprocess_exec(
        *(str(programs / "millrace"), "worker", "tasks:app", "--url", url),
        cwd=application,
        env={**clean_environment(programs), "AUDIT": str(application / "audit")},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
            assert "Traceback" not in errors.decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_worker_tells_an_installed_plug_in_what_became_of_jobs(
    programs: Path, application: Path, fresh_database_url: str
) -> None:
    audit = application / "audit"

    async def lines() -> list[dict[str, object]]:
        return [json.loads(line) for line in audit.read_text().splitlines()] if audit.exists() else []

    async with running_service(fresh_database_url) as service, Millrace(service.http) as app:
        async with worker(programs, application, service.http):
            job = await app.jobs.enqueue("double", {"n": 21})
            assert await app.jobs.result(job.id, timeout=DEADLINE) == 42
            told = await eventually(lines, bool, DEADLINE)
        assert told == [{"id": job.id, "result": 42}]


async def test_a_plug_in_that_cannot_be_loaded_keeps_a_worker_from_starting(programs: Path, application: Path) -> None:
    broken = application / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[millrace.jobs]\nbroken = not_there:Plugin\n")
    async with worker(programs, application, "http://127.0.0.1:1") as process:
        assert await asyncio.wait_for(process.wait(), DEADLINE) == 2
        assert process.stderr is not None
        errors = await process.stderr.read()
    (line,) = errors.decode().splitlines()
    assert "not_there:Plugin cannot be loaded" in line
    assert line.endswith("mend or uninstall its package")
