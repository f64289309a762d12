"""The command line as it is called: what it accepts, and the one line that it says otherwise."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from millrace import Invalid, Millrace, Unavailable
from millrace.cli.errors import CliError, explained
from millrace.cli.jobs import json_object, point_in_time
from millrace.cli.worker import declared_queues, queue_names
from millrace.contracts.wire import Problem

CHECKOUT = Path(__file__).resolve().parents[2]


async def command(*arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace.cli.main", *arguments),
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["nothing"], 2, "millrace: No such command 'nothing'; see millrace --help"),
        (["enqueue", "work", "[1]"], 2, "millrace: the data must be a JSON object"),
        (["deadletters", "retry"], 2, "millrace: name one job, or give --all"),
        (["worker", "nothing"], 2, "millrace: cannot load 'nothing': write it as module:attribute"),
        (["worker", "nope:app"], 2, "millrace: cannot load 'nope:app': there is no module 'nope'"),
        (["jobs", "--url", "ftp://x"], 1, "millrace: 'ftp://x' is not an address of Millrace"),
        (["jobs", "--url", "http://127.0.0.1:1"], 1, "millrace: cannot connect to http://127.0.0.1:1"),
    ],
)
async def test_what_cannot_be_done_is_one_line(arguments: list[str], code: int, line: str) -> None:
    returned, output, errors = await command(*arguments)
    assert (returned, output) == (code, "")
    assert errors.startswith(line)
    assert errors.count("\n") == 1


async def test_a_format_of_the_log_that_does_not_exist_is_named() -> None:
    code, _, errors = await command("worker", "tests.faults.app:app", MILLRACE_LOG_FORMAT="xml")
    assert (code, errors) == (1, "millrace: MILLRACE_LOG_FORMAT is 'xml'; it must be auto, console or json\n")


async def test_the_whole_story_is_told_when_debugging() -> None:
    _, _, errors = await command("jobs", "--url", "ftp://x", MILLRACE_DEBUG="1")
    assert "Traceback" in errors


def test_a_jobs_data_is_a_json_object() -> None:
    assert json_object('{"a": 1}') == {"a": 1}
    with pytest.raises(CliError, match="the data is not JSON") as raised:
        json_object("{")
    assert raised.value.exit_code == 2


def test_a_time_has_a_zone() -> None:
    assert point_in_time("2030-01-31T09:00:00Z").utcoffset() is not None
    with pytest.raises(CliError, match="is not a time with a zone"):
        point_in_time("2030-01-31T09:00:00")


def test_queues_are_those_named_or_those_that_the_jobs_declare() -> None:
    app = Millrace("http://127.0.0.1:1")

    @app.job("a", queue="media")
    def a() -> None: ...

    assert queue_names("x, y,") == ["x", "y"]
    assert queue_names(None) == []
    assert declared_queues(app) == ["default", "media"]
    with pytest.raises(CliError, match="names no queue"):
        queue_names(" , ")


def test_errors_say_what_helps() -> None:
    fields = [{"loc": ["priority"], "msg": "too high"}]
    problem = Problem(title="It does not fit", status=422, code="invalid", detail="priority: too high", errors=fields)
    assert explained(Invalid(problem)).message == "It does not fit: priority: too high"
    assert "millrace up" in explained(Unavailable("nobody answers")).message
    assert explained(KeyError("x")).message == "KeyError: 'x' (MILLRACE_DEBUG=1 shows where)"
