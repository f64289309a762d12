"""Judges CloudEvents by the rules of the specification, version 1.0, and of its format in JSON."""

from __future__ import annotations

from typing import Any

import jsonschema
from pydantic_core import from_json

TEXT = {"type": "string", "minLength": 1}
# Names of attributes have lower-case letters and digits only, and should not be longer than 20 of them.
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "source", "specversion", "type"],
    "propertyNames": {"pattern": "^([a-z0-9]{1,20}|data_base64)$"},
    "properties": {
        "id": TEXT,
        "source": TEXT | {"pattern": r"^[^\s<>\"{}|\\^`]+$"},
        "specversion": {"const": "1.0"},
        "type": TEXT,
        "datacontenttype": TEXT | {"pattern": r"^[\w.+-]+/[\w.+-]+(\s*;.*)?$"},
        "dataschema": TEXT | {"pattern": "^[A-Za-z][A-Za-z0-9+.-]*:"},
        "subject": TEXT,
        "time": {
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$",
        },
        "data": True,
        "data_base64": {"type": "string", "contentEncoding": "base64"},
    },
    "additionalProperties": {"type": ["string", "boolean", "integer"]},
    "not": {"required": ["data", "data_base64"]},
}
# What every event of Millrace has besides what the specification asks for.
PROMISED = {"subject", "time", "datacontenttype", "data", "eventtype", "tenant"}


def complete(text: str | bytes) -> dict[str, Any]:
    """The attributes of an event in structured JSON, which has all that an event of Millrace has.

    Raises:
        jsonschema.ValidationError: it is no CloudEvent, or lacks something.
    """
    event: dict[str, Any] = from_json(text)
    jsonschema.validate(event, SCHEMA | {"required": sorted(PROMISED.union(SCHEMA["required"]))})
    return event
