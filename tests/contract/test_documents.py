"""The documents under `docs/` are what the code says, and the code says nothing that they do not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infra.document_schemas import FOLDER, Schema, declared_events, schema_file, schemas
from infra.documents import DOCS, IncompatibleSchema, documents, openapi, stale, write
from infra.schema_compatibility import breaks
from millrace.contracts.catalogue import COMMANDS, EVENTS, QUERIES
from tests.support.running import running

ALL = {schema_file(each): each for each in schemas()}
each_schema = pytest.mark.parametrize("name", ALL)


def published(name: str) -> Any:
    return json.loads((DOCS / FOLDER / name).read_text())


def test_the_published_documents_are_up_to_date() -> None:
    assert stale() == [], "run `make docs`"


def test_the_documents_are_the_same_every_time() -> None:
    assert documents() == documents()


async def test_every_command_and_query_that_the_service_knows_has_a_contract(database_url: str) -> None:
    async with running(database_url, http=False) as service:
        assert service.known == COMMANDS.keys() | QUERIES.keys()


def test_every_event_that_can_be_recorded_has_a_contract_and_no_contract_is_idle() -> None:
    assert declared_events().keys() == EVENTS.keys()


@pytest.mark.parametrize("topic", EVENTS)
def test_a_contract_has_the_fields_of_its_event(topic: str) -> None:
    fields = {field.name for field in dataclasses.fields(declared_events()[topic])}
    assert EVENTS[topic].model_fields.keys() == fields - {"originator_id", "originator_version", "timestamp"}


def test_every_schema_file_belongs_to_a_message() -> None:
    names = {each.name for each in ALL.values()}
    for path in (DOCS / FOLDER).iterdir():
        assert path.name.rpartition(".v")[0] in names


@each_schema
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(published(name))


@each_schema
def test_a_schema_breaks_nobody_who_uses_the_published_one(name: str) -> None:
    assert breaks(published(name), ALL[name].schema, ALL[name].direction) == []


def changed(schema: Schema, *path: str, value: Any = None) -> dict[str, Any]:
    copy = deepcopy(schema.schema)
    node = copy
    for part in path[:-1]:
        node = node[part]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return copy


ENQUEUE, STARTED, RENEW = ALL["job.enqueue.v1.json"], ALL["job.started.v1.json"], ALL["job.renew.v1.json"]
BREAKING = {
    "a field of a command is gone": (ENQUEUE, changed(ENQUEUE, "properties", "queue")),
    "a field of a command is now required": (ENQUEUE, changed(ENQUEUE, "required", value=["name", "queue"])),
    "a field takes another type": (ENQUEUE, changed(ENQUEUE, "properties", "priority", "type", value="string")),
    "a bound is narrower": (ENQUEUE, changed(ENQUEUE, "properties", "priority", "maximum", value=10)),
    "a bound is new": (ENQUEUE, changed(ENQUEUE, "properties", "data", "maxLength", value=10)),
    "a choice is gone": (ENQUEUE, changed(ENQUEUE, "$defs", "Retry", "properties", "kind", "enum", value=["fixed"])),
    "a field of an item in a list is gone": (RENEW, changed(RENEW, "$defs", "Beat", "properties", "attempt")),
    "a field of an event is gone": (STARTED, changed(STARTED, "properties", "worker")),
    "a field of an event may be absent": (STARTED, changed(STARTED, "required", value=["attempt"])),
    "an event has another type": (STARTED, changed(STARTED, "properties", "attempt", "type", value="string")),
}
HARMLESS = {
    "a command takes one more field": (ENQUEUE, changed(ENQUEUE, "properties", "more", value={"type": "string"})),
    "a bound is wider": (ENQUEUE, changed(ENQUEUE, "properties", "priority", "maximum", value=1_000)),
    "a number where an integer was": (ENQUEUE, changed(ENQUEUE, "properties", "priority", "type", value="number")),
    "an event carries one more field": (STARTED, changed(STARTED, "properties", "more", value={"type": "string"})),
}


@pytest.mark.parametrize(("schema", "newer"), BREAKING.values(), ids=BREAKING)
def test_a_change_that_breaks_somebody_is_found(schema: Schema, newer: dict[str, Any]) -> None:
    assert breaks(schema.schema, newer, schema.direction) != []


@pytest.mark.parametrize(("schema", "newer"), HARMLESS.values(), ids=HARMLESS)
def test_a_change_that_breaks_nobody_is_let_through(schema: Schema, newer: dict[str, Any]) -> None:
    assert breaks(schema.schema, newer, schema.direction) == []


def test_a_published_schema_is_never_overwritten_by_one_that_breaks_it(tmp_path: Path) -> None:
    assert write(tmp_path) == sorted(documents())
    older = changed(ENQUEUE, "properties", "tags", value={"type": "array", "items": {"type": "string"}})
    path = tmp_path / FOLDER / schema_file(ENQUEUE)
    path.write_text(json.dumps(older))
    with pytest.raises(IncompatibleSchema, match="tags: the field is gone"):
        write(tmp_path)
    assert json.loads(path.read_text()) == older


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_in_the_openapi_document_leads_somewhere() -> None:
    whole = openapi()
    for reference in set(references(whole)):
        node: Any = whole
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


@pytest.mark.parametrize("name", ["asyncapi.json", "openapi.json"])
def test_no_schema_is_named_after_where_its_class_stands(name: str) -> None:
    shown = json.loads((DOCS / name).read_text())["components"]["schemas"]
    assert [each for each in shown if "__" in each] == [], (
        "two classes have one name, and their modules tell them apart"
    )


def test_the_second_names_of_a_job_are_in_its_schema() -> None:
    body = {"name": "resize", "payload": {"a": 1}, "backoff": "fixed", "scheduled_at": "2030-01-01T00:00:00Z"}
    jsonschema.validate(body, published("job.enqueue.v1.json"))
    assert COMMANDS["job.enqueue"].model_validate(body).model_dump()["data"] == {"a": 1}
