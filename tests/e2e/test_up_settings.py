"""`millrace up` where a configuration file and the environment say where it listens and what it keeps."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.cli.service import service_root
from tests.faults.harness.processes import Server, free_port
from tests.support.running import until

DEADLINE = 60.0
UP = [sys.executable, "-m", "millrace.cli.main", "up"]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: the path of the embedded server's socket must be short.
    with tempfile.TemporaryDirectory(prefix="millrace-up-") as made:
        yield Path(made)


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"PYTHONPATH": str(service_root()), "MILLRACE_CONFIG": str(folder / "c.yaml")} | more


async def test_it_listens_and_keeps_its_data_where_the_file_says(folder: Path) -> None:
    port = free_port()
    (folder / "c.yaml").write_text(f"port: {port}\ndata: {folder / 'elsewhere'}\n")
    server = Server("up", UP, folder, environment(folder))
    try:
        await server.start()
        await until(lambda: "Millrace is ready" in server.output() or not server.running, DEADLINE)
        assert f"http://127.0.0.1:{port}, data in {folder / 'elsewhere'}" in server.output()
        assert (folder / "elsewhere" / "postgres").is_dir()
    finally:
        await server.stop()


async def test_an_application_that_does_not_exist_ends_it(folder: Path) -> None:
    (folder / "c.yaml").write_text(f"port: 0\ndata: {folder / 'data'}\n")
    server = Server("up", [*UP, "--app", "nope:app"], folder, environment(folder))
    try:
        await server.start()
        await until(lambda: not server.running, DEADLINE)
        assert server.output().count("millrace: cannot load 'nope:app': there is no module 'nope'") == 1
        assert "started again" not in server.output()
    finally:
        await server.stop()


async def test_an_application_that_raises_on_import_ends_it(folder: Path) -> None:
    (folder / "c.yaml").write_text(f"port: 0\ndata: {folder / 'data'}\n")
    (folder / "tasks.py").write_text("import os\n\nDSN = os.environ['NO_SUCH_VARIABLE']\n")
    variables = environment(folder, PYTHONPATH=f"{service_root()}:{folder}")
    server = Server("up", [*UP, "--app", "tasks:app"], folder, variables)
    try:
        await server.start()
        await until(lambda: not server.running, DEADLINE)
        told = f"importing 'tasks' raised KeyError: 'NO_SUCH_VARIABLE', at {folder / 'tasks.py'}, line 3"
        assert server.output().count(f"millrace: cannot load 'tasks:app': {told}") == 1
        assert "started again" not in server.output()
        assert "Traceback" not in server.output()
        assert await server.ended() == 2
    finally:
        await server.stop()


async def test_the_worker_logs_as_the_file_says(folder: Path) -> None:
    (folder / "tasks.py").write_text("from millrace import Millrace\n\napp = Millrace()\n")
    (folder / "c.yaml").write_text(f"port: 0\ndata: {folder / 'data'}\nlogging: {{format: console}}\n")
    variables = environment(folder, PYTHONPATH=f"{service_root()}:{folder}")
    server = Server("up", [*UP, "--app", "tasks:app"], folder, variables)
    try:
        await server.start()
        await until(lambda: "worker started" in server.output() or not server.running, DEADLINE)
        assert "] worker started" in server.output()
        assert "] listening" in server.output()
        assert '{"' not in server.output()
    finally:
        await server.stop()


async def test_a_wrong_setting_is_one_line(folder: Path) -> None:
    (folder / "c.yaml").write_text("port: 99999\n")
    server = Server("up", UP, folder, environment(folder))
    try:
        await server.start()
        await until(lambda: not server.running, DEADLINE)
        lines = [line for line in server.output().splitlines() if line.strip()]
        assert len(lines) == 1
        assert lines[0].startswith("millrace: settings: port: ")
    finally:
        await server.stop()
