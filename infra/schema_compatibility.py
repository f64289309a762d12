"""Whether a newer JSON schema still understands everybody who was written for the published one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

Direction = Literal["request", "fact"]
_BOUNDS = (
    ("maximum", False), ("maxLength", False), ("maxItems", False), ("exclusiveMaximum", False),
    ("minimum", True), ("minLength", True), ("minItems", True), ("exclusiveMinimum", True),
)  # fmt: skip


def breaks(published: dict[str, Any], current: dict[str, Any], direction: Direction) -> list[str]:
    """What a newer schema would break, a line each; nothing where the two are compatible.

    A request that was valid must stay valid; a fact must keep every field that its readers may rely on.

    Args:
        direction: `request` for commands and queries, which others write; `fact` for events, which others read.
    """
    return list(_compare(_Node(published, published), _Node(current, current), direction, "", set()))


class _Node:
    """A part of a schema, with its references resolved against the whole."""

    def __init__(self, schema: dict[str, Any], whole: dict[str, Any]) -> None:
        while "$ref" in schema:
            schema = {**whole["$defs"][schema["$ref"].rpartition("/")[2]], **_without_ref(schema)}
        self.schema, self._whole = schema, whole

    @property
    def alternatives(self) -> list[_Node]:
        choices = self.schema.get("anyOf") or self.schema.get("oneOf")
        return [alternative for one in choices for alternative in self._of(one).alternatives] if choices else [self]

    @property
    def types(self) -> set[str]:
        """JSON types that are possible here; `any` where everything is."""
        found: set[str] = set()
        for one in self.alternatives:
            named = one.schema.get("type", "any" if "const" not in one.schema and "enum" not in one.schema else "enum")
            found.update(named if isinstance(named, list) else [named])
        return found | {"integer"} if "number" in found else found

    @property
    def properties(self) -> dict[str, _Node]:
        return {
            name: self._of(schema)
            for one in self.alternatives
            for name, schema in one.schema.get("properties", {}).items()
        }

    @property
    def items(self) -> _Node | None:
        lists = [one for one in self.alternatives if isinstance(one.schema.get("items"), dict)]
        return self._of(lists[0].schema["items"]) if len(lists) == 1 else None

    @property
    def required(self) -> set[str]:
        return {name for one in self.alternatives for name in one.schema.get("required", ())}

    def values(self, key: str) -> list[Any]:
        return [one.schema[key] for one in self.alternatives if key in one.schema]

    def _of(self, schema: Any) -> _Node:
        return _Node(schema if isinstance(schema, dict) else {}, self._whole)


def _compare(old: _Node, new: _Node, direction: Direction, path: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    if (id(old.schema), id(new.schema)) in seen:
        return
    seen = seen | {(id(old.schema), id(new.schema))}
    place = path or "the whole"
    kept, given = (old.types, new.types) if direction == "request" else (new.types, old.types)
    if "any" not in given and (lost := kept - given):
        verb = "is no longer taken" if direction == "request" else "is new to readers"
        yield f"{place}: type {', '.join(sorted(lost))} {verb}"
    if direction == "request":
        yield from _narrower(old, new, place)
    for name in sorted(old.properties.keys() - new.properties.keys()):
        yield f"{_joined(path, name)}: the field is gone"
    added = new.required - old.required if direction == "request" else old.required - new.required
    for name in sorted(added):
        yield f"{_joined(path, name)}: is {'now' if direction == 'request' else 'no longer'} required"
    for name in sorted(old.properties.keys() & new.properties.keys()):
        yield from _compare(old.properties[name], new.properties[name], direction, _joined(path, name), seen)
    if old.items is not None and new.items is not None:
        yield from _compare(old.items, new.items, direction, f"{path}[]", seen)


def _narrower(old: _Node, new: _Node, place: str) -> Iterator[str]:
    allowed = [value for values in new.values("enum") for value in values]
    for value in (value for values in old.values("enum") for value in values):
        if allowed and value not in allowed:
            yield f"{place}: the value {value!r} is no longer taken"
    for key, grows in _BOUNDS:
        was, now = old.values(key), new.values(key)
        if now and (not was or (max(now) > max(was) if grows else min(now) < min(was))):
            yield f"{place}: {key} is narrower"
    if (patterns := new.values("pattern")) and patterns != old.values("pattern"):
        yield f"{place}: the pattern is another"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _without_ref(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "$ref"}
