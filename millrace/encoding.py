"""JSON as the service accepts it."""

from __future__ import annotations

import json
from typing import NoReturn

from pydantic_core import to_json


def encode(value: object) -> bytes:
    """The value as JSON text; dates, UUIDs, enums, dataclasses and pydantic models are written as usual.

    Raises:
        ValueError: it contains what JSON does not have: another type, NaN, an infinity, or half a surrogate pair.
    """
    text = to_json(value)
    # Found inside a string too, which only costs the second look.
    if b"NaN" in text or b"Infinity" in text:
        json.loads(text, parse_constant=_refuse)
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} cannot be written as JSON")
