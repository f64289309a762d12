"""Which version of its arguments a job's data has, and how older data becomes current."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace.errors import ArgumentMismatch, NewerArguments

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
# Part of the data, so that whoever enqueues, in any language, can give it. Data without it has version 1.
KEY = "$version"


@dataclass(frozen=True, slots=True)
class Versions:
    """The version that a handler takes, and for each older one the step to the next.

    Raises:
        ValueError: the version is not positive, or a step is missing or too many.
    """

    current: int = 1
    upcast: Mapping[int, Upcast] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.current < 1:
            raise ValueError(f"version must be at least 1, not {self.current}")
        wanted = set(range(1, self.current))
        if self.upcast.keys() != wanted:
            raise ValueError(
                f"upcast needs one function for each version below {self.current}: "
                f"{sorted(wanted)}, not {sorted(self.upcast)}"
            )

    def marked(self, data: dict[str, Any]) -> dict[str, Any]:
        """The data with its version, where that is not the first and not given."""
        return data if self.current == 1 or KEY in data else {**data, KEY: self.current}

    def brought_up(self, job: str, data: dict[str, Any]) -> dict[str, Any]:
        """The data as of the current version, without its mark.

        Raises:
            NewerArguments: its version is newer than what this worker has.
            ArgumentMismatch: its version is none, or a step failed.
        """
        if KEY not in data and self.current == 1:
            return data
        given = {key: value for key, value in data.items() if key != KEY}
        version = data.get(KEY, 1)
        if type(version) is not int or version < 1:
            raise ArgumentMismatch(f"the data of job {job!r} has no number as {KEY!r} but {version!r}")
        if version > self.current:
            raise NewerArguments(job, version, self.current)
        for step in range(version, self.current):
            try:
                given = self.upcast[step](given)
            except Exception as error:
                raise ArgumentMismatch(
                    f"the data of job {job!r} cannot be brought from version {step} to {step + 1}: {error!r}"
                ) from error
        return given
