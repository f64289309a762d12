"""What the store could take in but nobody could read again is refused at the door."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import from_json

from millrace.contracts.event import Publish
from millrace.contracts.storable import MAX_DEPTH, Unstorable, storable
from millrace.contracts.wire import Context

CONTEXT = Context("acme", "m-11", correlation_id="größe")


def publishing(value: Any) -> Publish:
    return Publish(event_type="billing.invoiced", payload={"value": value})


def nested(levels: int) -> Any:
    value: Any = 11
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [None, "größe 🙂", "\\u0000", "NaN", "Infinity", nested(MAX_DEPTH - 3), [[]] * 500, -1.7e308]
)
def test_ordinary_values_pass_as_they_are(value: Any) -> None:
    assert from_json(storable(publishing(value), CONTEXT))["payload"] == {"value": value}


@pytest.mark.parametrize(
    "value",
    ["a\x00b", {"a\x00": 1}, ["x", {"y": "\x00"}], "\ud800", {"\udfff": 1}, float("inf"), [float("nan")]],
    ids=repr,
)
def test_values_that_postgresql_cannot_hold_are_refused(value: Any) -> None:
    with pytest.raises(Unstorable):
        storable(publishing(value), CONTEXT)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 199, 230, 400])
def test_values_nested_so_deeply_that_no_reader_follows_are_refused(levels: int) -> None:
    with pytest.raises(Unstorable, match="nested"):
        storable(publishing(nested(levels)), CONTEXT)


@pytest.mark.parametrize("field", ["message_id", "company", "correlation_id", "causation_id", "actor", "traceparent"])
@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_an_envelope_that_postgresql_cannot_hold_is_refused(field: str, text: str) -> None:
    fields = {"tenant": "acme", "message_id": "m-11"} | {field: text}
    with pytest.raises(Unstorable):
        storable(publishing(1), Context(**fields))
