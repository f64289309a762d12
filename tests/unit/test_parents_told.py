"""What a started job is told about the jobs that it came after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from domain.aggregate import Event
from domain.archive import StreamArchived
from domain.ports import EventStore, Loaded, Metadata, StreamName
from handlers.dependencies import RESULT_BYTES, with_parents
from tests.controls.clock import NOW
from tests.controls.jobs import STREAM, cancelled, completed, enqueued, started


class Log:
    """The part of the store that is asked."""

    def __init__(self, **streams: Sequence[Event]) -> None:
        self._streams = streams

    async def load(self, streams: Sequence[StreamName]) -> dict[StreamName, Loaded]:
        return {
            stream: Loaded(None, self._streams[stream.id], Metadata("acme"), 9)
            for stream in streams
            if stream.id in self._streams
        }


async def told(grants: list[dict[str, Any]], **streams: Sequence[Event]) -> list[dict[str, Any]]:
    await with_parents(cast(EventStore, Log(**streams)), grants)
    return grants


def grant(job_id: str, *after: str) -> dict[str, Any]:
    made: dict[str, Any] = {"job_id": job_id, "tenant": "acme"}
    return {**made, "after": list(after)} if after else made


def ended(result: Any) -> list[Event]:
    return [enqueued(), started(2), completed(3, result=result)]


async def test_each_child_is_told_its_own_parents_in_its_order() -> None:
    grants = [grant("c", "b", "a"), grant("d"), grant("e", "a")]
    first, second, third = await told(grants, a=ended(17), b=[enqueued(), cancelled(2)])
    assert [(p["job_id"], p["status"], p["result"]) for p in first["parents"]] == [
        ("b", "cancelled", None),
        ("a", "completed", 17),
    ]
    assert second == grant("d")
    assert [p["job_id"] for p in third["parents"]] == ["a"]
    assert all("after" not in each for each in grants)


async def test_results_that_are_too_much_together_are_left_out_and_that_is_told() -> None:
    large = "x" * (RESULT_BYTES // 2 + 1)
    [child] = await told([grant("c", "a", "b", "d")], a=ended(large), b=ended(large), d=ended(1))
    assert [(p["left_out"], p["result"] is None) for p in child["parents"]] == [
        (False, False),
        (True, True),
        (False, False),
    ]


async def test_parents_that_are_not_there_or_were_archived_are_left_out() -> None:
    mark = StreamArchived(STREAM, 1, NOW, "acme/archive/9f", "9f", 12)
    [child] = await told([grant("c", "gone", "archived", "a")], archived=[mark], a=ended(1))
    assert [p["job_id"] for p in child["parents"]] == ["a"]
