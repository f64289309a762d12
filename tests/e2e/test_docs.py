"""What the pages under `docs/` show works, and what they say of the database is so."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from handlers.problems import PROBLEMS
from infra.documents import DOCS
from tests.support.running import Running, running

BLOCK = re.compile(r"<!-- (?P<mark>[^>]+?) -->\n(?P<indent> *)```(?P<kind>\w+)\n(?P<text>.*?)\n *```", re.DOTALL)
TABLE = re.compile(r"^\| `(?P<name>\w+)` \| [^|]+ \| (?P<columns>[^|]+) \|$", re.MULTILINE)
ADDRESS = "http://127.0.0.1:8000"
PROTOCOL = (DOCS / "protocol.md").read_text()


def blocks(page: str) -> list[tuple[str, str]]:
    return [
        (found["mark"].strip(), textwrap.dedent(found["indent"] + found["text"]))
        for found in BLOCK.finditer((DOCS / page).read_text())
    ]


BLOCKS = blocks("protocol.md")
CLIENT = blocks("client.md")
OPERATIONS = blocks("operations.md")
NOTIFICATIONS = blocks("notifications.md")
PROGRESS = blocks("progress.md")
PAGES = CLIENT + OPERATIONS + NOTIFICATIONS + PROGRESS
COMMANDS = sorted({line for mark, text in PAGES if mark == "shell" for line in text.splitlines()})
PROGRAM = """\
import asyncio

from millrace import JobFailed, Worker
from tasks import *


async def main():
    worker = Worker(app, queues=("default", "media"), grace=0)
    working = asyncio.create_task(worker.run(signals=False))
    await worker.started.wait()
{body}
    worker.stop()
    await working
    await app.close()


asyncio.run(asyncio.wait_for(main(), 60))
"""
# Versions of read models, and what the migrations keep for themselves.
ELSEWHERE = re.compile(r"_v\d+$|^migrations$")


@pytest.fixture
async def service(fresh_database_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url) as service:
        yield service


@pytest.fixture
async def client(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with service.client() as client:
        yield client


def marked(prefix: str) -> list[tuple[str, str]]:
    return [(mark, text) for mark, text in BLOCKS if mark.startswith(prefix)]


def only(page: list[tuple[str, str]], mark: str) -> str:
    """The snippets of one mark as one text."""
    texts = [text for each, text in page if each == mark]
    assert texts, mark
    return "\n\n".join(texts)


def write_tasks(folder: Path, url: str) -> None:
    text = only(CLIENT, "tasks.py")
    assert text.count(ADDRESS) == 1
    (folder / "tasks.py").write_text(text.replace(ADDRESS, url))


async def run_in(folder: Path, *arguments: str, seconds: float = 70) -> None:
    """Runs Python in `folder`; a program that fails fails the test with all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, out.decode()


@asynccontextmanager
async def worker_of(folder: Path) -> AsyncIterator[None]:
    """A worker as `millrace worker` starts it."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "millrace.cli.main", "worker", "tasks:app", "--grace", "1", cwd=folder
    )
    try:
        yield
    finally:
        worker.terminate()
        await asyncio.wait_for(worker.wait(), 20)


@pytest.mark.parametrize("page", ["protocol.md", "client.md", "operations.md", "progress.md", "notifications.md"])
def test_every_snippet_is_marked_with_what_to_do_with_it(page: str) -> None:
    assert len(blocks(page)) == len(re.findall(r"^ *```\w", (DOCS / page).read_text(), re.MULTILINE))


async def test_every_message_in_the_protocol_is_accepted(client: httpx.AsyncClient) -> None:
    messages = marked("POST ")
    assert len(messages) >= 8
    for mark, text in messages:
        answer = await client.post(mark.removeprefix("POST "), json=json.loads(text))
        assert answer.json()["ok"], (mark, text, answer.text)


def test_every_reply_in_the_protocol_is_json() -> None:
    assert [json.loads(text)["ok"] for _, text in marked("reply")] == [True, False]


async def test_the_client_in_the_protocol_runs(service: Running, tmp_path: Path) -> None:
    ((_, text),) = marked("run with URL")
    program = f"URL = {service.url!r}\n{text}"
    await run_in(tmp_path, "-c", program, seconds=30)


def test_every_route_is_in_the_protocol() -> None:
    document = json.loads((DOCS / "openapi.json").read_text())
    real = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/api/") and not path.startswith(("/api/commands", "/api/queries", "/api/v1/"))
    }
    told = re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) /api/[^`]+)` \|", PROTOCOL, re.MULTILINE)
    assert sorted(told) == sorted(real)


async def test_the_python_guide_runs(service: Running, tmp_path: Path) -> None:
    write_tasks(tmp_path, service.url)
    body = textwrap.indent(only(CLIENT, "program"), "    ")
    (tmp_path / "program.py").write_text(PROGRAM.format(body=body))
    await run_in(tmp_path, "program.py")


async def test_the_page_of_progress_runs(service: Running, tmp_path: Path) -> None:
    write_tasks(tmp_path, service.url)
    page = PROGRESS
    (tmp_path / "tasks.py").write_text(
        (tmp_path / "tasks.py").read_text() + "\n\n" + only(page, "job") + "\n\n" + only(page, "tasks")
    )
    body = textwrap.indent(only(page, "program"), "    ")
    (tmp_path / "program.py").write_text(PROGRAM.format(body=body))
    await run_in(tmp_path, "program.py")


async def test_the_page_of_notifications_runs(service: Running, tmp_path: Path) -> None:
    write_tasks(tmp_path, service.url)
    body = textwrap.indent(only(NOTIFICATIONS, "program"), "    ")
    (tmp_path / "program.py").write_text(PROGRAM.format(body=body))
    await run_in(tmp_path, "program.py")


async def test_the_blocking_twin_in_the_guide_runs(service: Running, tmp_path: Path) -> None:
    write_tasks(tmp_path, service.url)
    (tmp_path / "blocking.py").write_text(only(CLIENT, "blocking program"))
    async with worker_of(tmp_path):
        await run_in(tmp_path, "blocking.py")


async def test_the_tests_in_the_guide_pass(tmp_path: Path) -> None:
    write_tasks(tmp_path, ADDRESS)
    (tmp_path / "test_tasks.py").write_text(only(CLIENT, "test_tasks.py"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\npythonpath = .\n")
    await run_in(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tasks.py")


@pytest.mark.parametrize("line", COMMANDS)
async def test_every_command_in_the_pages_exists_with_its_options(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    assert program == "millrace"
    groups = ("topology", "queues", "circuits", "schedules", "deadletters", "notifications", "progress")
    names = words[:2] if words[0] in groups else words[:1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "millrace.cli.main", *names, "--help",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, out.decode()
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", out.decode()), (option, out.decode())


async def test_every_statement_in_the_operators_page_works(service: Running) -> None:
    pool = service.system.storage.pool
    before = await pool.fetchval("SELECT epoch FROM store")
    for mark, text in OPERATIONS:
        if mark == "sql":
            await pool.fetch(text)
    after = await pool.fetchval("SELECT epoch FROM store")
    assert after != before
    # Positions are `<epoch>-<number>`, which only such an epoch can be read back from.
    assert after.isalnum()


async def test_a_position_from_before_the_new_epoch_is_refused_after_a_restart(fresh_database_url: str) -> None:
    statement = next(text for mark, text in OPERATIONS if mark == "sql" and text.startswith("UPDATE store"))
    async with running(fresh_database_url) as service, service.client() as client:
        await client.post("/api/jobs", json={"name": "any"})
        read = await client.post("/api/queries/log.read", json={"after": "beginning"})
        position = read.json()["result"]["position"]
        again = await client.post("/api/queries/log.read", json={"after": position})
        assert again.json()["ok"]
        await service.system.storage.pool.execute(statement)
    async with running(fresh_database_url) as service, service.client() as client:
        refused = await client.post("/api/queries/log.read", json={"after": position})
        assert refused.json()["error"]["code"] == "reset"
        stream = await client.get("/api/events", params={"after": position})
        assert stream.status_code == 200
        assert "event: reset" in stream.text


def test_every_problem_is_in_the_protocol_with_its_status() -> None:
    rows = re.findall(r"^\| (`[a-z`, -]+`) \| ([0-9, ]+) \|", PROTOCOL, re.MULTILINE)
    told: dict[str, int] = {}
    for codes, statuses in rows:
        numbers = [int(status) for status in statuses.split(",")]
        for index, code in enumerate(re.findall(r"`([a-z-]+)`", codes)):
            told[code] = numbers[min(index, len(numbers) - 1)]
    assert told == {code: status for code, (status, _) in PROBLEMS.items()} | {"unsupported-media-type": 415}


async def test_the_page_of_the_tables_has_every_table_and_column(service: Running) -> None:
    said = {
        found["name"]: re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", found["columns"]))
        for found in TABLE.finditer((DOCS / "tables.md").read_text())
    }
    rows = await service.system.storage.pool.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"
    )
    real: dict[str, list[str]] = {}
    for row in rows:
        if not ELSEWHERE.search(row["table_name"]):
            real.setdefault(row["table_name"], []).append(row["column_name"])
    assert {name: sorted(columns) for name, columns in said.items()} == {
        name: sorted(columns) for name, columns in real.items()
    }


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_link_between_the_pages_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / page).read_text()):
        assert (DOCS / target).exists(), target
