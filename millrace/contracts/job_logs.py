"""What jobs have logged, on the wire. Kept beside the log of events for a time, and not part of what a replay makes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, field_validator
from pydantic_core import to_json

from millrace.contracts.wire import Fact, Identifier, Message

MAX_LINES = 1_000
MAX_BYTES = 262_144
MAX_MESSAGE_CHARS = 8_192
MAX_FIELD_BYTES = 8_192
# What a line takes besides its text.
LINE_BYTES = 64

Level = Literal["debug", "info", "warning", "error"]
Ordinal = Annotated[int, Field(ge=1, le=2_147_483_647)]


class LogLine(Message):
    """One line of an attempt. `n` counts the attempt's lines from 1 on, those that were dropped as well."""

    n: Ordinal
    at: AwareDatetime
    level: Level = "info"
    message: Annotated[str, Field(max_length=MAX_MESSAGE_CHARS, pattern=r"^[^\x00]*$")]
    fields: dict[str, Any] = Field(default_factory=dict)

    @field_validator("fields")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(to_json(value)) > MAX_FIELD_BYTES:
            raise ValueError(f"the fields of a line have at most {MAX_FIELD_BYTES} bytes of JSON")
        return value


class AttemptLines(Message):
    """New lines of one attempt."""

    job_id: Identifier
    attempt: Ordinal
    lines: Annotated[tuple[LogLine, ...], Field(min_length=1, max_length=MAX_LINES)]


class Log(Message):
    """`job.log`: keeps lines that attempts have written; a line that comes twice is kept once.

    Of each attempt the newest 1,000 lines are kept, and of these the newest 256 KiB.
    """

    attempts: Annotated[tuple[AttemptLines, ...], Field(min_length=1, max_length=1_000)]


class Logged(Fact):
    """Answer to `job.log`: how many lines were new, and of attempts that there were."""

    kept: int


class GetLogs(Message):
    """Query `job.logs`: the lines of one attempt, by default of the newest one that has any."""

    job_id: Identifier
    attempt: Ordinal | None = None


class KeptLine(Fact):
    """One line, as it is read."""

    n: int
    at: datetime
    level: Level
    message: str
    fields: dict[str, Any]


class JobLog(Fact):
    """Answer to `job.logs`.

    Attributes:
        attempt: whose lines they are; None where there are none.
        lines: oldest first.
        dropped: older lines of the attempt that were not kept.
        attempts: all attempts that have lines.
    """

    attempt: int | None = None
    lines: tuple[KeptLine, ...] = ()
    dropped: int = 0
    attempts: tuple[int, ...] = ()
