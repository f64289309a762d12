"""One versioned JSON schema for every command, query and event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal

from pydantic import BaseModel

import domain
from domain.aggregate import Event
from infra.schema_compatibility import Direction
from millrace.contracts.catalogue import COMMANDS, EVENTS, QUERIES

FOLDER = "schemas"


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema of one message: the body of a command or query, or the data of an event."""

    kind: Literal["command", "query", "event"]
    name: str
    version: int
    schema: dict[str, Any]

    @property
    def direction(self) -> Direction:
        """Who must not be broken: callers of commands and queries, or readers of events."""
        return "fact" if self.kind == "event" else "request"


def schema_file(schema: Schema) -> str:
    """The name of the published file."""
    return f"{schema.name}.v{schema.version}.json"


def schemas() -> list[Schema]:
    """The current version of every schema."""
    versions = event_versions()
    tables: tuple[tuple[Literal["command", "query", "event"], Mapping[str, type[BaseModel]]], ...] = (
        ("command", COMMANDS),
        ("query", QUERIES),
        ("event", EVENTS),
    )
    return [
        Schema(kind, name, version, _schema(kind, name, version, model))
        for kind, models in tables
        for name, model in models.items()
        for version in (versions.get(name, 1),)
    ]


def event_versions() -> dict[str, int]:
    """The current version of every event's data, by topic."""
    return {topic: cls.class_version for topic, cls in declared_events().items()}


def declared_events() -> dict[str, type[Event]]:
    """Every event that an aggregate can record under its own topic, by topic.

    An application's own events are recorded under the type that the application gave, so they have no contract here.
    """
    found: dict[str, type[Event]] = {}
    # A class is only known once its module has been imported.
    for module in iter_modules(domain.__path__):
        import_module(f"domain.{module.name}")
    waiting = list(Event.__subclasses__())
    while waiting:
        cls = waiting.pop()
        waiting.extend(cls.__subclasses__())
        ours = cls.__module__.startswith("domain.")
        if ours and not cls.__subclasses__() and cls.routing_name is Event.routing_name:
            found[cls.TOPIC] = cls
    return found


def _schema(kind: str, name: str, version: int, model: type[BaseModel]) -> dict[str, Any]:
    made = model.model_json_schema(mode="validation")
    own = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:millrace:{kind}:{name}:v{version}",
        "title": f"{kind.capitalize()} {name}",
    }
    return own | {key: value for key, value in made.items() if key not in own}
