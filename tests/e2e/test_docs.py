"""What the pages under `docs/` show works, and what they say of the database is so."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator

import httpx
import pytest

from handlers.problems import PROBLEMS
from infra.documents import DOCS
from tests.support.running import Running, running

BLOCK = re.compile(r"<!-- (?P<mark>[^>]+?) -->\n(?P<indent> *)```(?P<kind>\w+)\n(?P<text>.*?)\n *```", re.DOTALL)
TABLE = re.compile(r"^\| `(?P<name>\w+)` \| [^|]+ \| (?P<columns>[^|]+) \|$", re.MULTILINE)
PROTOCOL = (DOCS / "protocol.md").read_text()
BLOCKS = [
    (found["mark"].strip(), textwrap.dedent(found["indent"] + found["text"])) for found in BLOCK.finditer(PROTOCOL)
]
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


def test_every_snippet_of_the_protocol_is_marked_with_what_to_do_with_it() -> None:
    assert len(BLOCKS) == len(re.findall(r"^ *```\w", PROTOCOL, re.MULTILINE))


async def test_every_message_in_the_protocol_is_accepted(client: httpx.AsyncClient) -> None:
    messages = marked("POST ")
    assert len(messages) >= 8
    for mark, text in messages:
        answer = await client.post(mark.removeprefix("POST "), json=json.loads(text))
        assert answer.json()["ok"], (mark, text, answer.text)


def test_every_reply_in_the_protocol_is_json() -> None:
    assert [json.loads(text)["ok"] for _, text in marked("reply")] == [True, False]


async def test_the_client_in_the_protocol_runs(service: Running) -> None:
    ((_, text),) = marked("run with URL")
    program = f"URL = {service.url!r}\n{text}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, out.decode()


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
