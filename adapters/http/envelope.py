"""The `/api/v1` envelope: `{status, data, meta, errors}` around every success and every error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

VERSION = "1.0"


def success(correlation_id: str, data: object) -> dict[str, Any]:
    """The envelope of a success."""
    return {"status": "success", "data": data, "meta": _meta(correlation_id), "errors": []}


def failure(correlation_id: str, problem: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope of an error; `errors` holds the problem."""
    return {"status": "error", "data": None, "meta": _meta(correlation_id), "errors": [dict(problem)]}


def schema(data: Mapping[str, Any] | None) -> dict[str, Any]:
    """JSON schema of the envelope around a success whose data has this schema, or around an error where it is None."""
    problems = {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}}
    return {
        "type": "object",
        "required": ["status", "data", "meta", "errors"],
        "properties": {
            "status": {"const": "error" if data is None else "success"},
            "data": {"type": "null"} if data is None else dict(data),
            "meta": {
                "type": "object",
                "required": ["timestamp", "version", "correlation_id"],
                "properties": {
                    "timestamp": {"type": "string", "format": "date-time"},
                    "version": {"const": VERSION},
                    "correlation_id": {"type": "string"},
                },
            },
            "errors": {**problems, "minItems": 1} if data is None else {**problems, "maxItems": 0},
        },
    }


def _meta(correlation_id: str) -> dict[str, str]:
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"timestamp": timestamp, "version": VERSION, "correlation_id": correlation_id}
