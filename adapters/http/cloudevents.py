"""Commands that come as CloudEvents 1.0 in structured JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.http.call import TRACEPARENT
from adapters.http.problems import field_errors, forbidden, invalid
from millrace.contracts.wire import TENANT_PATTERN, Context, Identifier, Refused

COMMAND_TYPE = re.compile(r"(?:millrace\.)?(?P<name>.+?)(?:\.v[0-9]+)?")


class CommandEvent(BaseModel):
    """A CloudEvent that asks for a command: `type` is `job.enqueue` or `millrace.job.enqueue.v1`, `data` its body.

    `id` is the idempotency key. `tenant`, if given, must be the caller's own.
    """

    model_config = ConfigDict(extra="ignore")

    specversion: str = Field(pattern=r"^1\.0$")
    id: Identifier
    source: str = Field(min_length=1)
    type: str = Field(min_length=1, max_length=200)
    datacontenttype: str = Field("application/json", pattern=r"^application/json\b")
    data: dict[str, object] = Field(default_factory=dict)
    tenant: str | None = None
    company: str | None = Field(None, pattern=TENANT_PATTERN.pattern)
    correlationid: Identifier | None = None
    causationid: Identifier | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Instruction:
    """One command, as read from a CloudEvent."""

    name: str
    body: dict[str, object]
    context: Context


def read(value: object, context: Context) -> Instruction:
    """The command in a CloudEvent, on behalf of the caller in `context`.

    Raises:
        HttpProblem: 422 where it is no CloudEvent of a command, 403 where it names another tenant.
    """
    try:
        event = CommandEvent.model_validate(value)
    except ValidationError as error:
        raise invalid("the body is not a CloudEvent that carries a command", field_errors(error.errors())) from None
    if event.tenant is not None and event.tenant != context.tenant:
        raise forbidden("the CloudEvent names another tenant than the request")
    matched = COMMAND_TYPE.fullmatch(event.type)
    traceparent = event.traceparent or ""
    own = context._replace(
        message_id=event.id,
        company=event.company or context.company,
        correlation_id=event.correlationid or context.correlation_id,
        causation_id=event.causationid or context.causation_id,
        traceparent=traceparent if TRACEPARENT.fullmatch(traceparent.encode()) else context.traceparent,
    )
    return Instruction(matched["name"] if matched else event.type, event.data, own)


def runs(instructions: Iterable[Instruction | Refused]) -> Iterator[list[Instruction] | Refused]:
    """Neighbors that share name and context, so that each run is one batch and the order is kept."""
    run: list[Instruction] = []
    for each in instructions:
        if run and (isinstance(each, Refused) or not _alike(run[0], each)):
            yield run
            run = []
        if isinstance(each, Refused):
            yield each
        else:
            run.append(each)
    if run:
        yield run


def _alike(left: Instruction, right: Instruction) -> bool:
    same_context = left.context._replace(message_id=right.context.message_id) == right.context
    return left.name == right.name and same_context
