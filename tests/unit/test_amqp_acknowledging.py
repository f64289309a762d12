"""Which deliveries a single frame may acknowledge."""

from __future__ import annotations

from pamqp.commands import Basic
from pamqp.frame import unmarshal

from adapters.amqp.acknowledging import Settled


def acknowledged(settled: Settled, *tags: int) -> list[tuple[int, bool]]:
    found = []
    for payload in settled.frames(1, sorted(tags)):
        frame = unmarshal(payload)[2]
        assert isinstance(frame, Basic.Ack)
        found.append((frame.delivery_tag, frame.multiple))
    return found


def test_a_run_from_the_first_delivery_needs_one_frame() -> None:
    assert acknowledged(Settled(), 1, 2, 3) == [(3, True)]


def test_what_lies_behind_a_gap_is_acknowledged_alone() -> None:
    settled = Settled()
    assert acknowledged(settled, 2, 4) == [(2, False), (4, False)]
    assert acknowledged(settled, 1) == [(1, True)]
    assert acknowledged(settled, 3, 5, 7) == [(5, True), (7, False)]


def test_a_delivery_given_back_closes_a_gap_without_being_acknowledged() -> None:
    settled = Settled()
    settled.settle(2)
    assert acknowledged(settled, 1, 3) == [(3, True)]
