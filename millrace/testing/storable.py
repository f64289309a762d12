"""Refuses what the real service's store could not give back."""

from __future__ import annotations

from math import isfinite

from pydantic_core import PydanticSerializationError, from_json, to_json

from millrace.contracts.wire import Context, Message
from millrace.testing.refusals import Refusal

MAX_DEPTH = 100


def storable(command: Message, context: Context) -> bytes:
    """The command as JSON.

    Raises:
        Refusal: `invalid`, where something in the command or its context could not be read back.
    """
    try:
        encoded = to_json(command)
        value = from_json(encoded)
    except (PydanticSerializationError, ValueError) as error:
        detail = "a value cannot be written as JSON: it is nested too deeply or has half of a surrogate pair"
        raise Refusal("invalid", detail) from error
    _check(value, MAX_DEPTH)
    for text in (context.message_id, context.company, context.correlation_id, context.causation_id, context.actor):
        _check(text, 0)
    return encoded


def _check(value: object, depth: int) -> None:
    if depth < 0:
        raise Refusal("invalid", f"a value is nested more than {MAX_DEPTH} levels deep")
    match value:
        case str():
            _check_text(value)
        case float() if not isfinite(value):
            raise Refusal("invalid", "a number is infinite or not a number; JSON has neither")
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
        detail = "text with a NUL character cannot be stored; encode it, for example as base64"
        raise Refusal("invalid", detail)
