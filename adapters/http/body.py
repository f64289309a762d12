"""Reads JSON bodies: strict, bounded in depth, and refused with a problem that says where the text goes wrong."""

from __future__ import annotations

import math
import re

from pydantic_core import from_json

from adapters.http.call import Call
from adapters.http.problems import invalid, malformed, unsupported

JSON = "application/json"
CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENT_BATCH = "application/cloudevents-batch+json"
MEDIA_TYPES = frozenset({JSON, CLOUDEVENT, CLOUDEVENT_BATCH})
# A page of another site can send such a body without asking; here it would need the provider's signature.
SIMPLE_TYPES = frozenset({"application/x-www-form-urlencoded", "text/plain"})
SIMPLE_PREFIX = "/api/notifications/callbacks/"

# Only text that matches can hold a number beyond a double, which the parser turns into an infinity.
SUSPECT_NUMBER = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{200}")


def media_type(call: Call) -> str:
    """The media type of the body, in lower case without parameters.

    Raises:
        HttpProblem: 415 where it is none of the JSON types, or the text is not said to be UTF-8.
    """
    name, *parameters = call.headers.get(b"content-type", b"").decode("latin-1").lower().split(";")
    simple = name.strip() in SIMPLE_TYPES and call.route_path.startswith(SIMPLE_PREFIX)
    if name.strip() not in MEDIA_TYPES and not simple:
        raise unsupported(f"the content type must be {JSON}")
    for parameter in parameters:
        key, _, value = parameter.strip().partition("=")
        if key == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            raise unsupported("the charset must be utf-8")
    return name.strip()


def json_of(call: Call) -> object:
    """The body of a request whose content type is `application/json`.

    Raises:
        HttpProblem: 400 for text that is not JSON in UTF-8, 415 for another content type.
    """
    if call.body and media_type(call) != JSON:
        raise unsupported(f"the content type must be {JSON}")
    return parse(call.body)


def object_of(call: Call, optional: bool = False) -> dict[str, object]:
    """The body where only one JSON object makes sense; an absent one is `{}` if it is optional.

    Raises:
        HttpProblem: 400, 415, or 422 for JSON that is not an object.
    """
    if optional and not call.body:
        return {}
    value = json_of(call)
    if not isinstance(value, dict):
        raise invalid("the body must be one JSON object; batches go to /api/commands/{name}")
    return value


def parse(text: bytes) -> object:
    """Parses JSON of at most 200 levels.

    Raises:
        HttpProblem: 400.
    """
    try:
        value: object = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as not_text:
            raise malformed(f"the body is not UTF-8: byte {not_text.start} is invalid") from None
        raise malformed(f"the body is not JSON: {error}") from None
    if SUSPECT_NUMBER.search(text) and _has_infinity(value):
        raise malformed("the body is not JSON: a number is out of range")
    return value


def _has_infinity(value: object) -> bool:
    match value:
        case float():
            return math.isinf(value)
        case dict():
            return any(_has_infinity(item) for item in value.values())
        case list():
            return any(_has_infinity(item) for item in value)
        case _:
            return False
