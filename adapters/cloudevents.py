"""The one place that turns recorded events, and samples, into CloudEvents."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from domain.aggregate import Unreadable
from domain.archive import StreamArchived
from domain.event import Published
from domain.live import Sample
from domain.ports import Outgoing, RecordedEvent
from millrace.contracts.wire import Token

ENVELOPE = ("originator_id", "originator_version", "timestamp")


def cloud_event(recorded: RecordedEvent, epoch: str) -> dict[str, Any]:
    """A CloudEvents 1.0 structured event, as a dictionary whose values JSON can carry."""
    event, meta = recorded.event, recorded.metadata
    data: dict[str, Any]
    if isinstance(event, Published):
        type_, data = event.event_type, event.payload
    elif isinstance(event, Unreadable):
        # A type of its own, so that no reader takes it for the event that it stands for.
        type_, data = "millrace.unreadable.v1", {"topic": event.topic, "error": event.error}
    elif isinstance(event, StreamArchived):
        type_, data = "millrace.stream.archived.v1", event.stored._asdict()
    else:
        type_ = f"millrace.{event.TOPIC}.v{event.class_version}"
        data = vars(event).copy()
        for name in ENVELOPE:
            del data[name]
    made = {
        "specversion": "1.0",
        "id": recorded.event_id,
        "source": f"/millrace/{recorded.stream.kind}",
        "type": type_,
        "subject": recorded.stream.id,
        "time": recorded.recorded_at,
        "datacontenttype": "application/json",
        "data": data,
        "eventtype": recorded.event_type,
        "tenant": meta.tenant,
        "position": Token.text(epoch, recorded.position),
        "version": recorded.version,
    }
    if meta.company is not None:
        made["company"] = meta.company
    if meta.correlation_id is not None:
        made["correlationid"] = meta.correlation_id
    if meta.causation_id is not None:
        made["causationid"] = meta.causation_id
    if meta.actor is not None:
        made["actor"] = meta.actor
    if meta.traceparent is not None:
        made["traceparent"] = meta.traceparent
    return made


def transient_event(sample: Sample) -> dict[str, Any]:
    """A sample as `cloud_event` has events; it says that it is transient, and has neither position nor version."""
    return {
        "specversion": "1.0",
        "id": sample.id,
        "source": f"/millrace/{sample.type.partition('.')[0]}",
        "type": f"millrace.{sample.type}.v1",
        "subject": sample.subject,
        "time": sample.at,
        "datacontenttype": "application/json",
        "data": dict(sample.data),
        "eventtype": sample.type,
        "tenant": sample.tenant,
        "transient": True,
    }


def outgoing(recorded: RecordedEvent, epoch: str) -> Outgoing:
    """The event as the relay publishes it."""
    event = cloud_event(recorded, epoch)
    meta = recorded.metadata
    key = f"{meta.tenant}.{recorded.event_type}"
    return Outgoing(key, recorded.event_id, event["type"], to_json(event), meta.traceparent)
