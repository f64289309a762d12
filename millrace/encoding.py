"""JSON as the service accepts it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from pydantic_core import to_json

from millrace.errors import NotSerializable


def encode(value: object) -> bytes:
    """The value as JSON text; dates, UUIDs, enums, dataclasses and pydantic models are written as usual.

    Raises:
        NotSerializable: it contains what JSON does not have: another type, NaN, an infinity, or half a surrogate pair.
        RecursionError: it is nested too deeply.
    """
    try:
        return _encoded(value)
    except ValueError as error:
        path, reason = _place(value, error)
        raise NotSerializable(path, reason) from error


def _encoded(value: object) -> bytes:
    text = to_json(value)
    # Found inside a string too, which only costs the second look.
    if b"NaN" in text or b"Infinity" in text:
        json.loads(text, parse_constant=_refuse)
    return text


def _place(value: object, error: ValueError) -> tuple[str, str]:
    """Where in the value the error comes from, and what it says of that place alone."""
    path = ""
    while True:
        for step, part in _parts(value):
            try:
                _encoded(part)
            except ValueError as inner:
                path, value, error = path + step, part, inner
                break
        else:
            return path, str(error)


def _parts(value: object) -> Iterable[tuple[str, Any]]:
    match value:
        case Mapping():
            return [(f".{key}", item) for key, item in value.items()]
        case list() | tuple():
            return [(f"[{index}]", item) for index, item in enumerate(value)]
        case _:
            return ()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} cannot be written as JSON")
