"""What the page for those who come from elsewhere shows works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from infra.documents import DOCS
from tests.e2e.test_docs import ADDRESS, blocks, run_in
from tests.support.running import Running, running

PAGE = (DOCS / "migration.md").read_text()
BLOCKS = blocks("migration.md")
AFTER = [text for mark, text in BLOCKS if mark.startswith("after")]


def test_every_snippet_is_marked() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```\w", PAGE, re.MULTILINE))


def test_what_was_there_before_is_python() -> None:
    for text in (text for mark, text in BLOCKS if mark == "before"):
        compile(text, "before", "exec")


@pytest.mark.parametrize("number", range(len(AFTER)))
async def test_what_is_there_after_runs(tmp_path: Path, number: int) -> None:
    (tmp_path / "test_tasks.py").write_text(AFTER[number])
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    await run_in(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tasks.py")


async def test_what_curl_sends_is_taken(fresh_database_url: str) -> None:
    [line] = [text for mark, text in BLOCKS if mark == "curl"]
    words = shlex.split(line)
    assert words[2] == f"{ADDRESS}/api/jobs"
    async with running(fresh_database_url) as service:
        answer = await _sent(service, json.loads(words[words.index("-d") + 1]))
    assert answer == 201


async def _sent(service: Running, body: object) -> int:
    async with service.client() as client:
        return (await client.post("/api/jobs", json=body)).status_code
