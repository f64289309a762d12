"""Logs are JSON lines with correlation ids and without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from infra.logging import configure_logging, correlated, logger_names
from infra.redaction import HIDDEN, redact_text
from infra.settings import Format, Logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers = handlers
    root.setLevel(level)
    for name in (*logger_names("jobs"), *logger_names("progress")):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """The records."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_line_with_time_level_and_logger(stream: io.StringIO) -> None:
    configure_logging(Logging(), stream)
    structlog.get_logger("handlers.job").info("job enqueued", job="j\n1")
    (record,) = lines(stream)
    assert (record["event"], record["level"], record["logger"], record["job"]) == (
        "job enqueued",
        "info",
        "handlers.job",
        "j\n1",
    )
    assert record["timestamp"].endswith("Z")


def test_a_library_that_uses_the_standard_logging_is_written_alike(stream: io.StringIO) -> None:
    configure_logging(Logging(), stream)
    logging.getLogger("aio_pika").warning("lost %s", "amqp://u:canary@h:5672", extra={"password": "canary"})
    (record,) = lines(stream)
    assert record["event"] == f"lost amqp://{HIDDEN}@h:5672"
    assert record["password"] == HIDDEN


def test_a_module_has_its_own_level_in_every_layer(stream: io.StringIO) -> None:
    configure_logging(Logging(level="warning", modules={"jobs": "debug", "progress": "error"}), stream)
    structlog.get_logger("handlers.job").debug("shown")
    structlog.get_logger("handlers.relay").info("hidden")
    structlog.get_logger("projections.progress").warning("hidden")
    assert [record["event"] for record in lines(stream)] == ["shown"]


@pytest.mark.parametrize("spelling", ["jobs", "job_queue"])
def test_every_spelling_of_a_module_means_its_loggers(spelling: str) -> None:
    assert {"handlers.job", "projections.job"} <= set(logger_names(spelling))


def test_another_name_is_the_logger_of_that_name() -> None:
    assert logger_names("aio_pika") == ("aio_pika",)


async def test_ids_follow_into_tasks_and_end_with_their_block(stream: io.StringIO) -> None:
    configure_logging(Logging(), stream)
    log = structlog.get_logger("handlers.gateway")

    async def child(name: str) -> None:
        with correlated(correlation=name, tenant="acme", causation=None):
            await asyncio.sleep(0)
            log.info("inside")

    await asyncio.gather(child("a"), child("b"))
    log.info("outside")
    records = lines(stream)
    assert {record["correlation"] for record in records[:2]} == {"a", "b"}
    assert "causation" not in records[0]
    assert "correlation" not in records[2]


def test_secrets_are_hidden_by_name_by_shape_and_in_tracebacks(stream: io.StringIO) -> None:
    configure_logging(Logging(), stream)
    log = structlog.get_logger("adapters.http.job")
    try:
        raise ConnectionError("cannot reach postgresql://u:canary@h/d")
    except ConnectionError:
        log.exception("failed", api_key="canary", headers={"Authorization": "canary", "x": ["Bearer canary"]})
    log.info("settings", url=SecretStr("canary"), routing_key="default.job.enqueue", error=ValueError("token=canary"))
    assert "canary" not in stream.getvalue()
    assert lines(stream)[1]["routing_key"] == "default.job.enqueue"


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "X-API-Key", "apiKey", "APIKEY", "openai_api_keys", "aws_secret_access_key", "access_key",
        "signing_key", "token", "access_token", "refreshToken", "PASSWORD", "smtp-password", "client_secret",
        "secrets", "Authorization", "credentials_path", "Set-Cookie", "dsn",
    ],
)  # fmt: skip
def test_a_field_that_names_a_secret_is_hidden(stream: io.StringIO, name: str) -> None:
    configure_logging(Logging(), stream)
    structlog.get_logger("service").info("starting", **{name: "canary"}, nested={name: ["canary"]})
    (record,) = lines(stream)
    assert (record[name], record["nested"]) == (HIDDEN, {name: HIDDEN})


@pytest.mark.parametrize(
    "name",
    [
        "key", "keys", "unique_key", "queue_key", "idempotency_key", "routing_key", "digest_key", "throttle_key",
        "key_prefix", "keyword", "monkey", "tokenizer", "secretary", "passed",
    ],
)  # fmt: skip
def test_a_field_that_only_sounds_like_a_secret_is_shown(stream: io.StringIO, name: str) -> None:
    configure_logging(Logging(), stream)
    structlog.get_logger("service").info("job enqueued", **{name: "customer-7"}, nested={name: ["customer-7"]})
    (record,) = lines(stream)
    assert (record[name], record["nested"]) == ("customer-7", {name: ["customer-7"]})


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("format_", "terminal", "json_lines"),
    [("auto", False, True), ("auto", True, False), ("json", True, True), ("console", False, False)],
)
def test_people_at_a_terminal_get_lines_and_programs_json(
    stream: io.StringIO, format_: Format, terminal: bool, json_lines: bool
) -> None:
    target = Terminal() if terminal else stream
    configure_logging(Logging(format=format_), target)
    structlog.get_logger("service").info("listening", port=8000)
    text = target.getvalue()
    assert text.startswith("{") == json_lines
    assert "listening" in text
    assert "8000" in text


@pytest.mark.parametrize("format_", ["console", "json"])
def test_what_people_read_has_no_secrets_either(stream: io.StringIO, format_: Format) -> None:
    configure_logging(Logging(format=format_), stream)
    try:
        raise ConnectionError("cannot reach postgresql://u:canary@h/d")
    except ConnectionError:
        structlog.get_logger("service").exception("failed", api_key="canary")
    assert "canary" not in stream.getvalue()
    assert "ConnectionError" in stream.getvalue()
    assert "api_key" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://guest:p@ss@host/vhost", f"amqp://{HIDDEN}@host/vhost"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("mail me@example.com", "mail me@example.com"),
        ('{"password": "x y"}', f'{{"password": {HIDDEN}}}'),
        ("?api_key=abc&limit=5", f"?api_key={HIDDEN}&limit=5"),
        ("authorization: Bearer abc.def-1", f"authorization: Bearer {HIDDEN}"),
    ],
)
def test_texts_lose_their_secrets_and_nothing_else(text: str, shown: str) -> None:
    assert redact_text(text) == shown
