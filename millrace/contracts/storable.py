"""Refuses at the door what the store could take in but nobody could read again."""

from __future__ import annotations

import re
from functools import lru_cache
from math import isfinite

from pydantic_core import PydanticSerializationError, from_json, to_json

from millrace.contracts.wire import Context, Message

MAX_DEPTH = 100
SUSPECT = re.compile(rb"\\u0000|Infinity|NaN")


class Unstorable(Exception):
    """Raised when a command has a value that JSON in PostgreSQL cannot hold; the text says which and what to do."""


def storable(command: Message, context: Context) -> bytes:
    """The command as JSON.

    Raises:
        Unstorable: something in the command or its context could not be read back.
    """
    try:
        encoded = to_json(command)
    except PydanticSerializationError as error:
        raise Unstorable(
            "a value cannot be written as JSON: it is nested too deeply or has half of a surrogate pair"
        ) from error
    # Only text that has one of these marks can be wrong, and next to none has; so the costly look is rare.
    if SUSPECT.search(encoded) or encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH:
        _check(_parsed(encoded), MAX_DEPTH)
    _check_text(context.message_id)
    _check_envelope(context[2:-1])
    return encoded


@lru_cache(maxsize=1_000)
def _check_envelope(texts: tuple[str | None, ...]) -> None:
    """What a batch's items have in common, looked at once."""
    for text in texts:
        if text is not None:
            _check_text(text)


def _parsed(encoded: bytes) -> object:
    try:
        return from_json(encoded)
    except ValueError as error:
        raise Unstorable(f"a value is nested more than {MAX_DEPTH} levels deep") from error


def _check(value: object, depth: int) -> None:
    if depth < 0:
        raise Unstorable(f"a value is nested more than {MAX_DEPTH} levels deep")
    match value:
        case str():
            _check_text(value)
        case float() if not isfinite(value):
            raise Unstorable("a number is infinite or not a number; JSON has neither")
        case list():
            for item in value:
                _check(item, depth - 1)
        case dict():
            for key, item in value.items():
                _check_text(key)
                _check(item, depth - 1)
        case _:
            return


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise Unstorable("text with a NUL character cannot be stored; encode it, for example as base64")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Unstorable("text with half of a surrogate pair cannot be stored") from error
