"""The AsyncAPI document says everything that goes over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from adapters.amqp.asyncapi import document
from millrace.contracts import batch, event, job, job_bulk, job_graph, log, queue


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(whole: dict[str, Any], reference: str) -> Any:
    node: Any = whole
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_command_and_query_is_received_with_a_reply() -> None:
    whole = document()
    for name in {
        **job.COMMANDS,
        **job_bulk.COMMANDS,
        **batch.COMMANDS,
        **event.COMMANDS,
        **job.QUERIES,
        **job_graph.QUERIES,
        **batch.QUERIES,
        **event.QUERIES,
        **queue.QUERIES,
        **log.QUERIES,
    }:
        operation = whole["operations"][name]
        assert operation["action"] == "receive"
        assert resolve(whole, operation["reply"]["messages"][0]["$ref"])


def test_every_event_is_sent() -> None:
    whole = document()
    for name in {**job.EVENTS, **batch.EVENTS, **event.EVENTS, **queue.EVENTS}:
        assert whole["operations"][f"{name}.event"]["action"] == "send"


def test_every_reference_leads_somewhere() -> None:
    whole = document()
    for reference in set(references(whole)):
        assert resolve(whole, reference) is not None


# To make the document takes 100 ms, to check a schema one.
SCHEMAS = document()["components"]["schemas"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid_json_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_the_document_is_the_same_every_time() -> None:
    assert document() == document()
