"""Turns pydantic's errors into problems that name the key and the nearest one that exists, without any value."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from infra.settings_aliases import MODULE_SPELLINGS, SPELLINGS
from infra.settings_errors import SettingsProblem


def problems(model: type[BaseModel], error: ValidationError) -> Iterator[SettingsProblem]:
    """Each wrong key below `model`."""
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        path = tuple(str(part) for part in detail["loc"] if not _is_inner(part))
        key = ".".join(path) or "settings"
        if detail["type"] == "extra_forbidden":
            near = get_close_matches(path[-1], _names(model, path[:-1]), n=1)
            parent = ".".join(path[:-1])
            nearest = (f"{parent}.{near[0]}" if parent else near[0]) if near else None
            yield SettingsProblem(key, "is no setting", nearest)
        else:
            yield SettingsProblem(key, _reason(detail["msg"]))


def _is_inner(part: int | str) -> bool:
    return isinstance(part, str) and (part == "[key]" or "(" in part or "[" in part)


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ").replace("\n", " ")


def _names(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """The keys that are known at `path`, in every accepted spelling."""
    found: type[BaseModel] | None = model
    for part in path:
        if found is None:
            break
        field = found.model_fields.get(part)
        found = _model_in(field.annotation) if field is not None else found
    known = set(found.model_fields) if found is not None else set()
    if path == ("modules",):
        known |= set(MODULE_SPELLINGS)
    if len(path) > 1 and path[0] == "modules":
        inside = ".".join(path[2:])
        prefix = f"{inside}." if inside else ""
        written = (spelling.written for spelling in SPELLINGS.get(path[1], ()))
        known |= {name.removeprefix(prefix).partition(".")[0] for name in written if name.startswith(prefix)}
    return sorted(known)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
