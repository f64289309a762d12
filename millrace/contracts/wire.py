"""What every message shares: identifiers, request context, replies and problems (RFC 9457)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

DEFAULT_TENANT = "default"
ANONYMOUS = "anonymous"
MAX_BODY_BYTES = 1_048_576
MAX_BATCH_ITEMS = 10_000
MAX_PATTERN_WORDS = 32

TENANT_PATTERN = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
# At the beginning of a command id: what a batch's item has behind it does not change its time.
_UUID7 = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f]+$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]
Text = Annotated[str, StringConstraints(max_length=65_536)]


class Message(BaseModel):
    """Base of every command, query and reply model: unknown fields are refused."""

    # An infinity is written as such, so that it is refused: as `null` it would be another value unnoticed.
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True, ser_json_inf_nan="constants")


class Fact(BaseModel):
    """Base of every event's data: readers ignore fields that a newer writer added."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def excerpt(text: str, most: int = 1_000) -> str:
    """The text, or so many characters of its beginning: what a caller has sent is not sent back whole."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Problem(BaseModel):
    """An error as it goes over the wire, after RFC 9457.

    `code` is the stable part that programs branch on; `detail` is for people.
    """

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: Annotated[str, AfterValidator(excerpt)]
    errors: list[dict[str, Any]] = Field(default_factory=list)
    retry_after: float | None = None


class Context(NamedTuple):
    """Who asks, and on whose behalf: the envelope of one command or query.

    Attributes:
        tenant: owner of the data, taken from the routing key or the credential, never from the body.
        message_id: idempotency key, unique for each (tenant, principal).
        principal: the authenticated caller; `anonymous` while access control is off.
        company: optional subdivision of the tenant.
        correlation_id: identifies everything that one outside request caused.
        causation_id: the event or command that directly caused this message.
        actor: the person on whose behalf the principal acts.
        traceparent: W3C trace context.
        claims_for: the tenants whose jobs the credential may claim besides its own; `("*",)` is all.
    """

    tenant: str
    message_id: str
    principal: str = ANONYMOUS
    company: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    traceparent: str | None = None
    claims_for: tuple[str, ...] = ()

    def item(self, index: int, item_id: str | None = None) -> Context:
        """The context of item `index` of a batch; an item without an id gets `<message_id>/<index>`."""
        return Context(self.tenant, item_id or f"{self.message_id}/{index}", *self[2:])


class Accepted(NamedTuple):
    """A command was carried out and is durable. `position` is the token of its last event, if it recorded one."""

    result: dict[str, Any]
    position: str | None = None

    def to_wire(self) -> dict[str, Any]:
        return {"ok": True, "result": self.result, "position": self.position}


@dataclass(frozen=True, slots=True)
class Refused:
    """A command or query was not carried out; `problem` says why and what to do."""

    problem: Problem

    def to_wire(self) -> dict[str, Any]:
        return {"ok": False, "error": self.problem.model_dump(exclude_none=True)}


@dataclass(frozen=True, slots=True)
class Batch:
    """The answers to a batch, one for each item, in the order of the items."""

    items: list[Accepted | Refused] = field(default_factory=list)

    def to_wire(self) -> dict[str, Any]:
        return {"ok": True, "results": [item.to_wire() for item in self.items]}


Reply = Accepted | Refused | Batch


class Token(BaseModel):
    """A position on the wire, `<epoch>-<position>`: opaque to clients.

    The epoch changes when the log is not the one that the token was issued for (a restored backup, a new data
    folder), so that no reader silently continues in a different history.
    """

    model_config = ConfigDict(frozen=True)

    epoch: str
    position: int

    def __str__(self) -> str:
        return self.text(self.epoch, self.position)

    @staticmethod
    def text(epoch: str, position: int) -> str:
        """The token as it is written, for those who write one with every event."""
        return f"{epoch}-{position}"

    @classmethod
    def parse(cls, text: str) -> Token:
        """Reads a token.

        Raises:
            ValueError: the text is not of the form `<epoch>-<position>`.
        """
        epoch, separator, position = text.rpartition("-")
        if not separator or not epoch.isalnum() or not position.isascii() or not position.isdigit():
            raise ValueError(f"{text!r} is not a position token; use one that a reply or an event carried")
        return cls(epoch=epoch, position=int(position))


def derived_id(tenant: str, command_id: str, principal: str = ANONYMOUS) -> str:
    """The id of the aggregate that a command creates: a function of who sent which command, so a repeat finds the same.

    A time-ordered command id (UUID version 7) passes its time prefix on, which keeps index inserts local.
    """
    digest = hashlib.sha256(f"{tenant}\x00{principal}\x00{command_id}".encode()).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    if _UUID7.match(command_id):
        return f"{command_id[:13].lower()}-7{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def pattern_expression(pattern: str) -> str:
    """A topic pattern as a regular expression over `<event type>.` (with a closing dot), for PostgreSQL.

    Words are separated by dots; `*` is one word, `#` is none or more, as in AMQP.

    Raises:
        ValueError: the pattern has an empty word, a wildcard inside a word, or too many words.
    """
    words = pattern.split(".")
    if len(words) > MAX_PATTERN_WORDS:
        raise ValueError(f"a topic pattern has at most {MAX_PATTERN_WORDS} words, this one has {len(words)}")
    for word in words:
        if not word or (len(word) > 1 and ("*" in word or "#" in word)):
            raise ValueError(
                f"{pattern!r} is not a topic pattern: words are separated by single dots, "
                "and a wildcard (* or #) is a word of its own"
            )
    word_expressions = {"*": r"[^.]+\.", "#": r"(?:[^.]+\.)*"}
    return "^" + "".join(word_expressions.get(word) or re.escape(word) + r"\." for word in words) + "$"


def matches(pattern: str, event_type: str) -> bool:
    """Whether an event type such as `job.completed` matches a topic pattern such as `job.#`.

    Takes time proportional to the words of both, whatever the pattern: Python's regular expressions would take
    exponential time for one with many `#`.
    """
    words = pattern.split(".")
    # The numbers of pattern words that can have been used up by the part of the event type read so far.
    reached = _past_hashes({0}, words)
    for part in event_type.split("."):
        stepped = {n if words[n] == "#" else n + 1 for n in reached if n < len(words) and words[n] in (part, "*", "#")}
        reached = _past_hashes(stepped, words)
    return len(words) in reached


def _past_hashes(reached: set[int], words: list[str]) -> set[int]:
    for n in sorted(reached):
        while n < len(words) and words[n] == "#":
            n += 1
            reached.add(n)
    return reached
