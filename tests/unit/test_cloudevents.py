"""Events and samples are CloudEvents 1.0, by the rules of the specification."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import ValidationError
from pydantic_core import from_json, to_json

from adapters.cloudevents import transient_event
from domain.live import Sample
from handlers.progress_samples import sample_id
from millrace.contracts.live import Transient
from millrace.contracts.wire import Context
from tests.support.cloudevents import complete

OBSERVED_AT = datetime(2026, 2, 3, 4, 5, 6, 7_000, UTC)
SAMPLE = Sample("acme", "progress.update", "upload-1", {"progress": 11.1}, "s-1", OBSERVED_AT)


def test_a_sample_is_a_complete_cloudevent_without_a_position() -> None:
    event = complete(to_json(transient_event(SAMPLE)))
    assert (event["id"], event["source"], event["type"]) == ("s-1", "/millrace/progress", "millrace.progress.update.v1")
    assert (event["subject"], event["time"]) == ("upload-1", "2026-02-03T04:05:06.007000Z")
    assert (event["tenant"], event["transient"], event["data"]) == ("acme", True, {"progress": 11.1})
    assert not {"position", "version"} & event.keys()


def test_clients_read_it_back_as_it_was() -> None:
    read = Transient.model_validate(from_json(to_json(transient_event(SAMPLE))))
    assert Sample(read.tenant, read.eventtype, read.subject, read.data, read.id, read.time) == SAMPLE
    assert Transient.model_fields.keys() == transient_event(SAMPLE).keys()


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""}, {"source": ""}, {"source": "/a b"}, {"type": None}, {"specversion": "0.9"}, {"subject": ""},
        {"time": "yesterday"}, {"time": 5}, {"datacontenttype": "json"}, {"not_a_name": "x"}, {"Tenant": "x"},
        {"extension": {"a": 1}}, {"extension": None}, {"data_base64": "eA=="},
    ],
)  # fmt: skip
def test_the_judge_refuses_what_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        complete(to_json({**transient_event(SAMPLE), **change}))


@pytest.mark.parametrize("name", ["id", "source", "specversion", "type", "subject", "time", "tenant", "data"])
def test_the_judge_refuses_what_lacks_an_attribute(name: str) -> None:
    event = transient_event(SAMPLE)
    del event[name]
    with pytest.raises(ValidationError, match=f"'{name}' is a required property"):
        complete(to_json(event))


def test_a_repeated_update_is_the_same_sample_and_another_senders_is_not() -> None:
    once = Context("acme", "m-1", principal="p")
    assert sample_id(once) == sample_id(once)
    others = {sample_id(Context(*who)) for who in (("acme", "m-2"), ("globex", "m-1"), ("acme", "m-1"))}
    assert len({sample_id(once), *others}) == 4
