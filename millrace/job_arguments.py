"""Checks a job's data against what its handler's parameters are annotated with."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from millrace.errors import ArgumentMismatch

UNCHECKED = (Any, object, inspect.Parameter.empty)
MAX_PROBLEMS = 20


class Checks:
    """The types of some of a function's parameters; what cannot be checked is passed on as it is.

    Attributes:
        model: the parameter that takes all data as one pydantic model: the only one, required and annotated so.
    """

    def __init__(self, function: Callable[..., Any], names: Iterable[str], required: set[str]) -> None:
        hints = {name: hint for name, hint in _hints(function).items() if name in set(names) and hint not in UNCHECKED}
        self._adapters = {name: adapter for name, hint in hints.items() if (adapter := _adapter(hint)) is not None}
        self.model: str | None = None
        if len(hints) == len(required) == len(set(names)) == 1:
            name, hint = next(iter(hints.items()))
            if isinstance(hint, type) and issubclass(hint, BaseModel):
                self.model = name

    def checked(self, job: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, converted to what the parameters are annotated with.

        Raises:
            ArgumentMismatch: some do not fit; the text names each, and no value.
        """
        checked, problems = dict(arguments), []
        for name, adapter in self._adapters.items():
            if name in checked:
                try:
                    checked[name] = adapter.validate_python(checked[name])
                except ValidationError as error:
                    problems += [_told(name if self.model is None else "", each) for each in error.errors()]
        if problems:
            more = f" and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
            raise ArgumentMismatch(f"the data of job {job!r} does not fit: {'; '.join(problems[:MAX_PROBLEMS])}{more}")
        return checked


def as_data(value: Mapping[str, Any] | BaseModel | None) -> dict[str, Any]:
    """A job's data out of a mapping or a pydantic model."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else dict(value or {})


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = inspect.unwrap(function)
    if not (inspect.isfunction(target) or inspect.ismethod(target)):
        target = type(target).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:
        # A name that only type checkers see, or that the handler's own block has.
        return {}


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUserError):
        # A type of the application's own, of which pydantic knows nothing.
        return None


def _told(name: str, problem: Any) -> str:
    place = ".".join(str(part) for part in ((name,) if name else ()) + problem["loc"])
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])
