"""How a job's arguments and result become JSON and back, where plain JSON would lose their types."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from importlib.metadata import entry_points
from math import isfinite
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel

from millrace.errors import NotReadable, NotSerializable

GROUP = "millrace.serializers"
TYPE, VALUE = "$type", "value"


class Serializer(Protocol):
    """Makes JSON of values and values of that JSON.

    Attributes:
        name: stands in each message, so that a reader knows which one to use; never give it to another format.
    """

    @property
    def name(self) -> str: ...

    def dump(self, value: Any) -> Any:
        """JSON, as Python has it.

        Raises:
            NotSerializable: it cannot; any other error is told as one.
        """
        ...

    def load(self, value: Any) -> Any:
        """The value again.

        Raises:
            NotReadable: it cannot; any other error is told as one.
        """
        ...


class PlainJson:
    """JSON as it is; types are what the handler's annotations say."""

    name = "json"

    def dump(self, value: Any) -> Any:
        return value

    def load(self, value: Any) -> Any:
        return value


class TypedJson:
    """JSON that keeps dates, times, Decimal, UUID, bytes, sets and tuples, and the classes that it is given.

    Anything else is refused: nothing is imported or run because of what stands in a message.

    Args:
        classes: enums, dataclasses and pydantic models, which are known by their names.

    Raises:
        ValueError: two classes have one name.
        TypeError: a class is none of those.
    """

    name = "typed"

    def __init__(self, *classes: type) -> None:
        self._loads: dict[str, Callable[[Any], Any]] = dict(BUILT_IN)
        self._names: dict[type, str] = {}
        for each in classes:
            if each.__qualname__ in self._loads:
                raise ValueError(f"two classes are called {each.__qualname__!r}")
            self._names[each] = each.__qualname__
            self._loads[each.__qualname__] = self._loader(each)

    def dump(self, value: Any) -> Any:
        return self._dump(value, "")

    def load(self, value: Any) -> Any:
        return self._load(value, "")

    def _dump(self, value: Any, path: str) -> Any:
        kind = type(value)
        if kind in self._names:
            return {TYPE: self._names[kind], VALUE: self._content(value, path)}
        if kind in WRITERS:
            tag, write = WRITERS[kind]
            return {TYPE: tag, VALUE: write(value)}
        match value:
            case None | bool():
                return value
            case str() | int() if kind in (str, int):
                return value
            case float() if kind is float and isfinite(value):
                return value
            case list() if kind is list:
                return self._items(value, path)
            case tuple() | set() | frozenset() if kind in (tuple, set, frozenset):
                return {TYPE: kind.__name__, VALUE: self._items(value, path)}
            case dict() if all(type(key) is str for key in value) and TYPE not in value:
                return {key: self._dump(item, f"{path}.{key}") for key, item in value.items()}
            case dict():
                pairs = [[self._dump(key, path), self._dump(item, f"{path}.{key}")] for key, item in value.items()]
                return {TYPE: "dict", VALUE: pairs}
            case _:
                raise NotSerializable(path, f"{kind.__qualname__} is not among the serializer's types")

    def _items(self, items: Any, path: str) -> list[Any]:
        return [self._dump(item, f"{path}[{index}]") for index, item in enumerate(items)]

    def _content(self, value: Any, path: str) -> Any:
        match value:
            case Enum():
                return self._dump(value.value, path)
            case BaseModel():
                return {name: self._dump(getattr(value, name), f"{path}.{name}") for name in type(value).model_fields}
            case _:
                names = [each.name for each in dataclasses.fields(value)]
                return {name: self._dump(getattr(value, name), f"{path}.{name}") for name in names}

    def _load(self, value: Any, path: str) -> Any:
        match value:
            case {"$type": str() as tag, "value": content} if len(value) == 2:
                if tag not in self._loads:
                    raise NotReadable(path, f"the type {tag!r} is not among the serializer's")
                inner = self._load(content, path)
                try:
                    return self._loads[tag](inner)
                except Exception as error:
                    raise NotReadable(path, f"this is no {tag}: {error}") from error
            case dict():
                return {key: self._load(item, f"{path}.{key}") for key, item in value.items()}
            case list():
                return [self._load(item, f"{path}[{index}]") for index, item in enumerate(value)]
            case _:
                return value

    @staticmethod
    def _loader(kind: type) -> Callable[[Any], Any]:
        if issubclass(kind, BaseModel):
            return kind.model_validate
        if issubclass(kind, Enum):
            return kind
        if dataclasses.is_dataclass(kind):
            return lambda content: kind(**content)
        raise TypeError(f"{kind!r} is no enum, dataclass or pydantic model; convert it in a serializer of your own")


WRITERS: Mapping[type, tuple[str, Callable[[Any], str | float]]] = {
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", timedelta.total_seconds),
    Decimal: ("Decimal", str),
    UUID: ("UUID", str),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
}
BUILT_IN: Mapping[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda seconds: timedelta(seconds=seconds),
    "Decimal": Decimal,
    "UUID": UUID,
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
}


def serializer_of(given: Serializer | str) -> Serializer:
    """A serializer, or the built-in or installed one of a name.

    Packages add others as entry points of the group `millrace.serializers`: a serializer, or a class of it without
    arguments.

    Raises:
        ValueError: there is none of that name. `pickle` is none: it would run what anybody puts into a message.
    """
    if not isinstance(given, str):
        return given
    match given:
        case "json":
            return PlainJson()
        case "typed":
            return TypedJson()
        case "pickle" | "cloudpickle" | "dill" | "marshal":
            raise ValueError(
                f"{given!r} runs code out of a message, whoever sent it; use 'typed' or an object of your own"
            )
        case _:
            for found in entry_points(group=GROUP, name=given):
                loaded = found.load()
                serializer: Serializer = loaded() if isinstance(loaded, type) else loaded
                return serializer
            raise ValueError(f"there is no serializer {given!r}; use 'json', 'typed' or an object with dump and load")
