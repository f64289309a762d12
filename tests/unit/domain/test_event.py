"""An application's own event."""

from __future__ import annotations

from domain.event import Publication, Published
from tests.controls.clock import NOW
from tests.support.spec import given

STREAM = "event:acme:12"
INVOICED = Published(STREAM, 1, NOW, event_type="billing.invoiced", payload={"total": 11.1})


def test_a_publication_is_one_event_under_its_own_name() -> None:
    given().when(
        lambda _: Publication.publish(STREAM, NOW, event_type="billing.invoiced", payload={"total": 11.1})
    ).then(INVOICED)
    assert INVOICED.routing_name == "billing.invoiced"
    assert INVOICED.TOPIC == "event.published"
