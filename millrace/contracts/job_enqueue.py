"""How a job is enqueued: `job.enqueue` with everything that may be asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, ConfigDict, Field, model_validator

from millrace.contracts.job_fields import (
    Attempts,
    ParentPolicy,
    PositiveSeconds,
    Priority,
    Retry,
    Seconds,
    Time,
    as_retry,
)
from millrace.contracts.wire import Identifier, Message, Name

# Digits alone are the number of an item.
Ref = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]


# Seconds for which a job waits for a worker that is warm, where it does not say how many.
AFFINITY = 5.0
MOST_AFFINITY = 300


class Unique(Message):
    """That no other unfinished job of the tenant may have the same key.

    Attributes:
        key: default derived from the job's name and data.
        on_conflict: what a second one meets: `reject` refuses it as `duplicate-job`, `existing` answers with the job
            that has the key, `replace` cancels that one and takes its place; one that is running cannot be replaced.
        until: the key is free again when the job first starts (`started`) or when it has ended (`done`).
        ttl: seconds after which it is free in any case.
    """

    key: Identifier | None = None
    on_conflict: Literal["reject", "existing", "replace"] = "reject"
    until: Literal["started", "done"] = "done"
    ttl: PositiveSeconds | None = None

    def key_of(self, name: str, data: Mapping[str, Any]) -> str:
        """The key that a job of this name and data takes."""
        if self.key is not None:
            return self.key
        canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return f"{name}:{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"

    def kept(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """What the job keeps of it."""
        return {"key": self.key_of(name, data), "until": self.until, "ttl": self.ttl}


def _unique(value: object) -> object:
    match value:
        case True:
            return {}
        case str():
            return {"key": value}
        case _:
            return value


def _affinity(value: object) -> object:
    return AFFINITY if value is True else None if value is False else value


def _after(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _each_once(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value))


def _second_names(schema: dict[str, Any]) -> None:
    """The other spellings that `Enqueue` takes, for whoever validates against the schema."""
    properties = schema["properties"]
    policy = {key: value for key, value in properties["retry"].items() if key == "$ref"}
    properties["retry"] = {"anyOf": [policy, {"type": "string", "enum": ["fixed", "exponential", "none"]}]}
    key = {"type": "string", "minLength": 1, "maxLength": 128, "description": "the key alone"}
    own_key = {"const": True, "description": "a key derived from name and data"}
    properties["unique"]["anyOf"] += [key, own_key]
    properties["affinity"]["anyOf"] += [{"const": True, "description": f"{AFFINITY:g} seconds"}]
    properties["after"] = {
        "anyOf": [{k: v for k, v in properties["after"].items() if k != "default"}, {"type": "string"}],
        "default": [],
    }
    for second, first in (("payload", "data"), ("scheduled_at", "run_at"), ("backoff", "retry")):
        described = {
            "title": second.replace("_", " ").title(),
            "description": f"the same as `{first}`; give one of them",
        }
        properties[second] = {**properties[first], **described}


class Enqueue(Message):
    """`job.enqueue`: puts a job into a queue, now or at a later time.

    Attributes:
        name: which handler runs it.
        data: arguments for the handler, a JSON object; `payload` is accepted instead.
        priority: -100 to 100, higher first.
        delay: seconds to wait before the job may run; excludes `run_at`.
        run_at: when the job may run; excludes `delay`.
        max_attempts: attempts before the job is dead-lettered.
        timeout: seconds that one attempt may take.
        retry: a policy, or the name of its kind; `backoff` is accepted instead.
        unique: refuses, answers or replaces where another unfinished job has the same key; the key alone, or `true` for
            one that is derived from name and data.
        after: ids of jobs that have to end first, one or up to 1,000. They must exist, or be enqueued by the same call
            and be named `#<number of the item>`, `#<its id>` or `#<its ref>`; a circle is refused. What they returned
            comes with the job when it is started.
        on_parent_failure: what follows where one of them is dead-lettered or cancelled: `cancel` cancels this job too,
            `run` runs it nevertheless, `wait` keeps it waiting until somebody retries the parent or cancels this job.
        key: whom the job is for (a customer, an account), where its queue shares or limits by key.
        affinity: seconds, at most 300, for which it would rather wait than run elsewhere than on the worker that ran
            the last such job of its key, while that worker has room; `true` for 5. Needs `key`.
        batch: id of the batch that it belongs to, which must not be sealed yet.
        ref: what other jobs of the same call name it by, as `#<ref>` in their `after`.
    """

    model_config = ConfigDict(json_schema_extra=_second_names)

    name: Name
    data: dict[str, Any] = Field(default_factory=dict)
    queue: Name = "default"
    priority: Priority = 0
    delay: Seconds | None = None
    run_at: Time | None = Field(None, validation_alias=AliasChoices("run_at", "scheduled_at"))
    max_attempts: Attempts = 3
    timeout: PositiveSeconds = 300.0
    retry: Annotated[Retry, BeforeValidator(as_retry)] = Field(
        default_factory=Retry, validation_alias=AliasChoices("retry", "backoff")
    )
    key: Name | None = None
    affinity: Annotated[Annotated[PositiveSeconds, Field(le=MOST_AFFINITY)] | None, BeforeValidator(_affinity)] = None

    unique: Annotated[Unique | None, BeforeValidator(_unique)] = None
    after: Annotated[
        tuple[Identifier, ...], BeforeValidator(_after), AfterValidator(_each_once), Field(max_length=1_000)
    ] = ()
    on_parent_failure: ParentPolicy = "cancel"
    batch: Identifier | None = None
    ref: Ref | None = None

    @model_validator(mode="before")
    @classmethod
    def _payload_is_data(cls, value: Any) -> Any:
        if isinstance(value, dict) and "payload" in value:
            if "data" in value:
                raise ValueError("give either `data` or `payload`, not both")
            value = dict(value)
            value["data"] = value.pop("payload")
        return value

    @model_validator(mode="after")
    def _one_due_time(self) -> Enqueue:
        if self.delay is not None and self.run_at is not None:
            raise ValueError("give either `delay` or `run_at`, not both")
        return self

    @model_validator(mode="after")
    def _affinity_to_a_key(self) -> Enqueue:
        if self.affinity is not None and self.key is None:
            raise ValueError("`affinity` is to the worker of a key: give the job a `key`, too")
        return self
