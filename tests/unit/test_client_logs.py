"""Where the client's log lines go: never to the standard output of the program that uses it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from millrace.logs import Log

FOLLOWS = """
import asyncio
from millrace import Millrace

async def main():
    async with Millrace("http://127.0.0.1:9", timeout=1) as app:
        app.progress.subscribe("file-1", print)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def unset() -> Iterator[None]:
    """No setup of structlog; none is left behind either."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


async def test_a_program_that_follows_progress_has_its_standard_output_for_itself() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FOLLOWS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert program.stderr is not None
    async with asyncio.timeout(60):
        line = await program.stderr.readline()
        program.kill()
        printed, _ = await program.communicate()
    assert line.startswith(b"progress cannot be")
    assert printed == b""


@pytest.mark.usefixtures("unset")
def test_without_structlog_a_line_is_a_record_of_the_standard_library(caplog: pytest.LogCaptureFixture) -> None:
    log = Log("millrace.part")
    log.warning("100 % gone", name="a", args=[1])
    try:
        raise OSError("disk full")
    except OSError:
        log.exception("failed")
    first, second = caplog.records
    assert (first.name, first.levelno, first.getMessage()) == (
        "millrace.part",
        logging.WARNING,
        "100 % gone name='a' args=[1]",
    )
    assert second.exc_info is not None
    assert second.exc_info[0] is OSError


@pytest.mark.usefixtures("unset")
def test_where_the_application_uses_structlog_the_lines_go_there() -> None:
    with capture_logs() as lines:
        Log("millrace.part").info("moved", job_id="a")
    assert lines == [{"event": "moved", "job_id": "a", "log_level": "info"}]
