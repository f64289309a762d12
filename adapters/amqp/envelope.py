"""From an AMQP message to a request: who asks, for which tenant, what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import from_json

from adapters.amqp.topology import RESERVED_PREFIX
from handlers.problems import problem
from millrace.contracts.wire import ANONYMOUS, MAX_BODY_BYTES, TENANT_PATTERN, Context, Problem

JSON = "application/json"
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"

_NAME = re.compile(r"^[a-z_]{1,64}\.[a-z_]{1,64}$")
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
_CONTROL = re.compile(r"[\x00-\x1f]")


class BadMessage(Exception):
    """Raised when a message is not a request that can be handed on; carries the answer for its sender."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Arrived(Protocol):
    """What is used of an incoming message."""

    body: bytes
    headers: dict[str, Any]
    content_type: str | None
    content_encoding: str | None
    message_id: str | None
    correlation_id: str | None
    reply_to: str | None
    user_id: str | None

    @property
    def routing_key(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Request:
    """A command or query as the gateway takes it."""

    name: str
    body: object
    context: Context
    min_position: str | None = None


def return_address(message: Arrived) -> tuple[str, str] | None:
    """Where the answer goes, as (queue, correlation id); None where nobody asked for one.

    Raises:
        BadMessage: the address is one of Millrace's own queues; answers there would be taken for commands or events.
    """
    if not message.reply_to:
        return None
    if message.reply_to.startswith(RESERVED_PREFIX):
        raise _malformed(f"reply_to {message.reply_to!r} is one of Millrace's own queues")
    return message.reply_to, message.correlation_id or message.message_id or ""


def name_of(message: Arrived) -> str:
    """What the routing key asks for, whether or not there is such a thing."""
    return (message.routing_key or "").partition(".")[2]


def read(message: Arrived) -> Request:
    """Reads a message.

    Raises:
        BadMessage: it is not a request; its problem says what is wrong.
    """
    tenant, name = _address(message.routing_key or "")
    return_address(message)
    if len(message.body) > MAX_BODY_BYTES:
        raise BadMessage(problem("too-large", f"the body has {len(message.body)} bytes; {MAX_BODY_BYTES} are allowed"))
    context = _context(message, tenant)
    media_type = (message.content_type or JSON).partition(";")[0].strip().lower()
    if message.content_encoding not in (None, "", "utf-8", "identity"):
        raise _unsupported(f"content encoding {message.content_encoding!r} is not supported")
    if media_type not in (JSON, CLOUD_EVENT, CLOUD_EVENTS):
        raise _unsupported(f"content type {media_type!r} is not supported; use {JSON!r}")
    body = _parsed(message.body)
    match media_type:
        case "application/cloudevents+json":
            context, body = _from_cloud_event(context, body)
        case "application/cloudevents-batch+json":
            body = [_batch_item(context, item) for item in _expect_list(body)]
    if not isinstance(body, dict | list):
        raise _malformed("the body must be a JSON object, or an array for a batch")
    if not context.message_id:
        # A Python client that sets none still sends one: its library invents a random id, which we cannot tell apart.
        raise _malformed("message_id is missing: it makes the repetition of a command harmless")
    return Request(name, body, context, _text(message.headers, "min_position", 128))


def _malformed(detail: str) -> BadMessage:
    return BadMessage(problem("malformed", detail))


def _unsupported(detail: str) -> BadMessage:
    code, title = "unsupported-media-type", "The content type is not supported"
    return BadMessage(Problem(type=f"urn:millrace:problem:{code}", title=title, status=415, code=code, detail=detail))


def _address(routing_key: str) -> tuple[str, str]:
    tenant, _, name = routing_key.partition(".")
    if not TENANT_PATTERN.fullmatch(tenant) or not _NAME.fullmatch(name):
        raise _malformed(f"routing key {routing_key!r} is not of the form <tenant>.<module>.<command>")
    return tenant, name


def _parsed(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _malformed(f"the body is not JSON in UTF-8: {error}") from None


def _context(message: Arrived, tenant: str) -> Context:
    headers = message.headers
    claimed = _text(headers, "tenant", 64)
    if claimed is not None and claimed != tenant:
        raise _malformed(f"header tenant is {claimed!r}, but the routing key says {tenant!r}")
    company = _text(headers, "company", 64)
    if company is not None and not TENANT_PATTERN.fullmatch(company):
        raise _malformed(f"header company {company!r} may have 1 to 64 letters, digits, - and _ only")
    trace = _text(headers, "traceparent", 255)
    return Context(
        tenant=tenant,
        message_id=_checked(message.message_id or "", "message_id", 128),
        principal=message.user_id or ANONYMOUS,
        company=company,
        correlation_id=_text(headers, "correlation", 128),
        causation_id=_text(headers, "causation", 128),
        actor=_text(headers, "actor", 128),
        # The trace context standard has an unreadable one ignored: it never costs the request.
        traceparent=trace if trace and _TRACEPARENT.fullmatch(trace) else None,
    )


def _text(headers: dict[str, Any], name: str, longest: int) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _malformed(f"{name} must be text in UTF-8, not {type(value).__name__}")
    return _checked(value, name, longest) or None


def _checked(value: str, what: str, longest: int) -> str:
    if len(value) > longest or _CONTROL.search(value):
        raise _malformed(f"{what} may have {longest} characters at most and no control characters")
    return value


def _expect_list(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise _malformed(f"a body of type {CLOUD_EVENTS} is an array")
    return body


def _from_cloud_event(context: Context, event: Any) -> tuple[Context, Any]:
    """A CloudEvent names itself: its id is the idempotency key, whatever the message's own id is."""
    event_id, data = _cloud_event(context, event)
    context = context._replace(
        message_id=event_id,
        correlation_id=_text(event, "correlationid", 128) or context.correlation_id,
        causation_id=_text(event, "causationid", 128) or context.causation_id,
    )
    return context, data


def _batch_item(context: Context, event: Any) -> dict[str, Any]:
    event_id, data = _cloud_event(context, event)
    return {"id": event_id, "body": data}


def _cloud_event(context: Context, event: Any) -> tuple[str, Any]:
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise _malformed("a CloudEvent is an object with specversion 1.0")
    for attribute in ("id", "source", "type"):
        if not isinstance(event.get(attribute), str) or not event[attribute]:
            raise _malformed(f"the CloudEvent has no {attribute}")
    if "data" not in event:
        raise _malformed("the CloudEvent has no data; the command's body goes there, as JSON")
    if event.get("tenant", context.tenant) != context.tenant:
        raise _malformed("the CloudEvent's tenant is not that of the routing key")
    return _checked(event["id"], "the CloudEvent's id", 128), event["data"]
