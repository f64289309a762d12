"""`millrace doctor` says whose settings it has looked at."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from millrace.cli.service import service_root


async def first_line(folder: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace.cli.main", "doctor"),
        cwd=folder,
        env={**kept, "PYTHONPATH": str(service_root()), **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return output.decode().splitlines()[0]


async def test_it_names_the_file_that_it_has_read(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").touch()
    line = await first_line(tmp_path, DATABASE_URL=database_url, MILLRACE_CONFIG="c.yaml")
    assert line.startswith(f"ok   settings: read from {tmp_path / 'c.yaml'} and the environment of this command")
    assert "not from a running service" in line


async def test_it_says_that_it_has_read_none(database_url: str, tmp_path: Path) -> None:
    assert "read from no file" in await first_line(tmp_path, DATABASE_URL=database_url)


async def test_it_finds_the_usual_file_of_its_folder(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "modules.yaml").touch()
    line = await first_line(tmp_path, DATABASE_URL=database_url)
    assert f"read from {tmp_path / 'config' / 'modules.yaml'}" in line
