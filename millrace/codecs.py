"""The envelope that names a value's serializer: `{"$codec": "typed", "data": …}`. What has none is plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace.contracts.job import Job, Parent
from millrace.errors import NotReadable, NotSerializable, UnknownCodec
from millrace.serializers import PlainJson, Serializer, TypedJson

KEY, DATA = "$codec", "data"


@dataclass(slots=True)
class Codecs:
    """The serializers of an application.

    Attributes:
        default: of jobs that have none of their own.
        known: those that it can read, by name.
    """

    default: Serializer = field(default_factory=PlainJson)
    known: dict[str, Serializer] = field(default_factory=lambda: {"typed": TypedJson()})
    _own: set[str] = field(default_factory=set)

    def add(self, serializer: Serializer) -> None:
        """Makes it one that can be read.

        Raises:
            ValueError: another one has its name.
        """
        if isinstance(serializer, PlainJson):
            return
        name = serializer.name
        if name in self._own and self.known[name] is not serializer:
            raise ValueError(f"two serializers are called {name!r}; share one, or give one of them another name")
        self._own.add(name)
        self.known[name] = serializer

    def is_plain(self, serializer: Serializer | None) -> bool:
        """Whether values are written without an envelope."""
        return isinstance(serializer or self.default, PlainJson)

    def written(self, serializer: Serializer | None, value: Any, place: str) -> Any:
        """The value as JSON, in its envelope unless it is plain.

        Args:
            place: what an error calls it.

        Raises:
            NotSerializable: the serializer does not take it.
        """
        if self.is_plain(serializer):
            return value
        chosen = serializer or self.default
        try:
            return {KEY: chosen.name, DATA: chosen.dump(value)}
        except NotSerializable as error:
            raise error.within(place) from error
        except Exception as error:
            raise NotSerializable(place, f"{chosen.name}: {error!r}") from error

    def read(self, value: Any, place: str) -> Any:
        """The value again; plain JSON stays as it is.

        Raises:
            UnknownCodec: it was written by a serializer that the application does not have.
            NotReadable: its serializer does not understand it.
        """
        name = codec_of(value)
        if name is None:
            return value
        if name not in self.known:
            raise UnknownCodec(place, name)
        try:
            return self.known[name].load(value[DATA])
        except NotReadable as error:
            raise error.within(place) from error
        except Exception as error:
            raise NotReadable(place, f"{name}: {error!r}") from error

    def arguments(self, data: dict[str, Any]) -> dict[str, Any]:
        """A job's arguments, with whatever stands beside the envelope.

        Raises:
            UnknownCodec: as `read`.
            NotReadable: as `read`, or they are no arguments by name.
        """
        if codec_of(data) is None:
            return data
        arguments = self.read(data, "data")
        if not isinstance(arguments, Mapping):
            raise NotReadable("data", f"arguments have names, these are a {type(arguments).__name__}")
        return {**arguments, **{key: value for key, value in data.items() if key not in (KEY, DATA)}}

    def parent(self, parent: Parent) -> Parent:
        """A job that another one came after, with its result as it was."""
        if codec_of(parent.result) is None:
            return parent
        return parent.model_copy(update={"result": self.read(parent.result, "result")})

    def job(self, job: Job) -> Job:
        """A job with its arguments and result as they were; what cannot be read stays in its envelope."""
        if codec_of(job.data) is None and codec_of(job.result) is None:
            return job
        try:
            return job.model_copy(update={"data": self.arguments(job.data), "result": self.read(job.result, "result")})
        except (UnknownCodec, NotReadable):
            return job


def codec_of(value: Any) -> str | None:
    """The name of the serializer that wrote the value, None where it is plain."""
    if isinstance(value, dict) and DATA in value and isinstance(name := value.get(KEY), str):
        return name
    return None
