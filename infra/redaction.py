"""Keeps secrets out of logs: by the words in the name of a field, and by the shape of a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from structlog.types import EventDict, WrappedLogger

HIDDEN = "[redacted]"
WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
SECRET_WORDS = frozenset(
    {
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "dsn",
        "passphrase",
        "passwd",
        "password",
        "pwd",
        "secret",
        "token",
    }
)
# A key alone is what a job is unique by, or whom it is for; a secret one says so.
SECRET_KEYS = frozenset(
    {"access", "account", "api", "app", "auth", "encryption", "master", "private", "server", "shared", "signing", "ssh"}
)
URL_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]+@")
BEARER = re.compile(r"\b(?P<kind>Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
ASSIGNMENT = re.compile(
    r"(?P<name>\b[A-Za-z_]*(?:api_?key|token|password|passwd|secret)[A-Za-z_]*[\"']?\s*[=:]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)",
    re.IGNORECASE,
)
MAX_DEPTH = 8


def redact_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last processor of the log: the same record without secrets."""
    return {name: _field(name, value, MAX_DEPTH) for name, value in event.items()}


def redact_text(text: str) -> str:
    """A text without the credentials of URLs, authorization headers and assigned secrets."""
    text = URL_CREDENTIALS.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = BEARER.sub(rf"\g<kind> {HIDDEN}", text)
    return ASSIGNMENT.sub(rf"\g<name>{HIDDEN}", text)


def _field(name: str, value: Any, depth: int) -> Any:
    return HIDDEN if value is not None and is_secret(name) else _value(value, depth)


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret: `X-Api-Key` and `smtpPassword` do, `key` and `queue_key` do not."""
    words = [word.lower() for word in WORD.findall(name)]
    return any(
        word.removesuffix("s") in SECRET_WORDS or (word in ("key", "keys") and before in SECRET_KEYS)
        for before, word in zip(["", *words], words, strict=False)
    )


def _value(value: Any, depth: int) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact_text(value)
        case Mapping() if depth:
            return {str(name): _field(str(name), item, depth - 1) for name, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth:
            return [_value(item, depth - 1) for item in value]
        case _:
            # rendered here, so that nothing unseen is rendered after the redaction
            return redact_text(str(value))
