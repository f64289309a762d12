"""The first screen of the README, followed word for word."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from millrace.cli.main import build
from tests.support.installed import ROOT
from tests.support.up import up

README = (ROOT / "README.md").read_text()
EXAMPLE = ROOT / "examples" / "quickstart"


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: the path of the embedded server's socket must be short.
    with tempfile.TemporaryDirectory(prefix="millrace-readme-") as made:
        yield Path(shutil.copytree(EXAMPLE, Path(made) / "quickstart"))


@pytest.mark.parametrize("name", ["tasks.py", "ask.py"])
def test_the_readme_shows_the_files_of_the_example(name: str) -> None:
    shown = re.search(rf"```python\n# {name}\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == (EXAMPLE / name).read_text()


def test_the_commands_of_the_readme_name_what_is_there() -> None:
    assert "cd examples/quickstart && ../../.venv/bin/millrace up --app tasks:app" in README
    targets = re.findall(r"^(\w+): ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*re.findall(r"`?make (\w+)", README)} <= {*targets, "check"}
    for path in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / path).exists(), path


def test_the_readme_lists_all_commands_and_no_others() -> None:
    listed = re.search(r"^`millrace ((?:[\w-]+[\s·]+)+[\w-]+)`", README, re.MULTILINE)
    assert listed is not None
    names = re.findall(r"[\w-]+", listed[1])
    assert len(names) == len(set(names))
    assert set(names) == set(get_command(build()).commands)  # type: ignore[attr-defined]


async def test_the_service_and_the_worker_of_the_readme_answer(folder: Path) -> None:
    async with up(Path(sys.executable).parent, folder, folder / ".millrace") as url:
        text = (folder / "tasks.py").read_text()
        (folder / "tasks.py").write_text(text.replace("http://127.0.0.1:8000", url))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "ask.py", cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
    result, *events = out.decode().splitlines()
    assert result == "{'file_id': '42', 'words': 1200}"
    assert [event.split()[0] for event in events] == ["job.enqueued", "job.started", "job.completed"]
