"""What `millrace why` shows of an event: why and until when first, all of it on a narrow terminal too."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from millrace.cli.output import detail
from millrace.cli.why import events_tree
from millrace.contracts.log import CloudEvent

DEFERRED = {
    "channel": "email",
    "delivery_id": "3d37f1a0-5a0e-7c11-8f1e-1b7b9a9c2f10",
    "reason": "quiet-hours",
    "until": "2026-11-26T07:00:00+00:00",
}


def event(type_: str, data: dict[str, Any]) -> CloudEvent:
    return CloudEvent(
        id="1",
        source="/millrace/notification",
        type=f"millrace.{type_}.v1",
        subject="n",
        time=datetime(2026, 11, 26, tzinfo=UTC),
        data=data,
        eventtype=type_,
        tenant="default",
        position="e-1",
        version=1,
    )


@pytest.mark.parametrize("columns", [60, 80, 240])
def test_the_reason_and_the_time_of_a_deferral_are_shown_whatever_the_width(columns: int) -> None:
    screen = Console(file=io.StringIO(), width=columns)
    screen.print(events_tree([event("notification.deferred", DEFERRED)], "n"))
    assert isinstance(screen.file, io.StringIO)
    shown = "".join(line.strip(" │├└─") for line in screen.file.getvalue().splitlines()).replace(" ", "")
    assert '"reason":"quiet-hours","until":"2026-11-26T07:00:00+00:00"' in shown


def test_long_data_is_cut_after_what_says_why() -> None:
    told = detail(event("job.dead_lettered", {"data": "x" * 500, "error": "no disk", "reason": "attempts used up"}))
    assert told.startswith('{"reason": "attempts used up", "error": "no disk", "data": "xxx')
    assert told.endswith("…")
    assert len(told) == 100


def test_short_data_is_shown_whole() -> None:
    assert json.loads(detail(event("job.started", {"worker": "w", "attempt": 1}))) == {"worker": "w", "attempt": 1}
