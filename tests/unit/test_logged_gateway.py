"""What the log says about commands."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from handlers.problems import refused
from infra.logged import LoggedGateway
from infra.logging import configure_logging
from infra.settings import Logging
from millrace.contracts.wire import Accepted, Batch, Context, Refused, Reply

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CONTEXT = Context("acme", "m-1", correlation_id="c-1", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")


class Talkative:
    """A gateway that logs a line, and refuses what it is told to."""

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        structlog.get_logger("handlers.job").info("working")
        match body:
            case [*items]:
                return Batch([refused("conflict", "no") if item else Accepted({}) for item in items])
            case {"refuse": code}:
                return refused(str(code), "no")
            case _:
                return Accepted({})

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        structlog.get_logger("handlers.job").info("answering")
        return refused("not-found", "no")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging(Logging(), stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_every_line_of_a_command_says_whose_it_is(lines: io.StringIO) -> None:
    await LoggedGateway(Talkative()).execute("job.enqueue", {}, CONTEXT)
    structlog.get_logger("handlers.job").info("later")
    (working, later) = records(lines)
    assert (working["correlation"], working["tenant"], working["trace"]) == ("c-1", "acme", TRACE)
    assert not {"correlation", "tenant", "trace"} & later.keys()


async def test_a_command_that_caused_itself_is_known_by_its_message_id(lines: io.StringIO) -> None:
    await LoggedGateway(Talkative()).query("job.get", {}, Context("acme", "m-2"))
    (answering,) = records(lines)
    assert answering["correlation"] == "m-2"
    assert "trace" not in answering


@pytest.mark.parametrize(
    ("command", "code", "level"),
    [
        ("subscription.lease", "not-found", "debug"),
        ("subscription.lease", "invalid", "info"),
        ("subscription.acknowledge", "not-found", "info"),
    ],
)
async def test_that_a_subscription_to_be_created_is_not_there_yet_is_no_news(
    lines: io.StringIO, command: str, code: str, level: str
) -> None:
    configure_logging(Logging(level="debug"), lines)
    await LoggedGateway(Talkative()).execute(command, {"refuse": code}, CONTEXT)
    (_, line) = records(lines)
    assert (line["action"], line["level"], line["problem"]) == ("command_refused", level, code)


@pytest.mark.parametrize(("body", "count"), [({"refuse": "conflict"}, 1), ([1, 0, 1], 2)])
async def test_refused_commands_are_one_line_at_info(lines: io.StringIO, body: object, count: int) -> None:
    await LoggedGateway(Talkative()).execute("job.enqueue", body, CONTEXT)
    (_, line) = records(lines)
    assert (line["action"], line["level"], line["command"]) == ("command_refused", "info", "job.enqueue")
    assert (line["refused"], line["problem"], line["correlation"]) == (count, "conflict", "c-1")
