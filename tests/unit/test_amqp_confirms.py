"""Confirms that follow each other are read as one; nothing else is changed, whatever the pieces in which it comes."""

from __future__ import annotations

from itertools import pairwise

import pamqp.frame
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, header
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.heartbeat import Heartbeat

from adapters.amqp.confirms import Coalescer


def wire(*frames: tuple[int, object]) -> bytes:
    """What a broker sends, by channel and frame."""
    return b"".join(pamqp.frame.marshal(frame, channel) for channel, frame in frames)  # type: ignore[arg-type]


def ack(tag: int, channel: int = 1, *, multiple: bool = False) -> tuple[int, object]:
    return channel, commands.Basic.Ack(tag, multiple)


def nack(tag: int, channel: int = 1, *, multiple: bool = False) -> tuple[int, object]:
    return channel, commands.Basic.Nack(tag, multiple, requeue=False)


def read(data: bytes) -> list[tuple[int, str, tuple[object, ...]]]:
    """The frames in the data: channel, name, and values or bytes."""
    frames = []
    while data:
        used, channel, frame = pamqp.frame.unmarshal(data)
        values = tuple(value for _, value in frame) if isinstance(frame, Frame) else (data[:used],)
        frames.append((channel, frame.name, values))
        data = data[used:]
    return frames


def fed(data: bytes) -> bytes:
    coalescer = Coalescer()
    out = coalescer.feed(data)
    assert coalescer.rest() == b""
    return out


def settled(data: bytes) -> list[tuple[int, int, bool]]:
    """Channel, tag and whether it was confirmed, of each message whose fate the data tell, each once and in order."""
    known: set[tuple[int, int]] = set()
    told = []
    for channel, name, values in read(data):
        if name == "Channel.OpenOk":
            known = {(other, tag) for other, tag in known if other != channel}
        if name not in ("Basic.Ack", "Basic.Nack"):
            continue
        last, multiple = values[0], values[1]
        assert isinstance(last, int)
        for tag in range(1 if multiple else last, last + 1):
            if (channel, tag) not in known:
                known.add((channel, tag))
                told.append((channel, tag, name == "Basic.Ack"))
    return told


def test_confirms_in_a_row_become_one() -> None:
    assert read(fed(wire(*(ack(tag) for tag in range(1, 101))))) == [(1, "Basic.Ack", (100, True))]


def test_a_single_confirm_stays_as_it_came() -> None:
    assert fed(wire(ack(1))) == wire(ack(1))


def test_a_confirm_out_of_order_confirms_itself_alone() -> None:
    assert fed(wire(ack(3), ack(1))) == wire(ack(3), ack(1))
    assert read(fed(wire(ack(3), ack(1), ack(2), ack(4), ack(5)))) == [
        (1, "Basic.Ack", (3, False)), (1, "Basic.Ack", (5, True)),
    ]  # fmt: skip


def test_after_a_confirm_of_many_the_next_row_begins_behind_it() -> None:
    frames = wire(ack(2), ack(4), ack(5, multiple=True), ack(6), ack(7))
    assert read(fed(frames)) == [
        (1, "Basic.Ack", (2, False)), (1, "Basic.Ack", (4, False)), (1, "Basic.Ack", (5, True)),
        (1, "Basic.Ack", (7, True)),
    ]  # fmt: skip


def test_a_refusal_interrupts_the_row_and_counts_as_settled() -> None:
    frames = wire(ack(1), ack(2), nack(3), ack(4), ack(5))
    assert [(name, values[:2]) for _, name, values in read(fed(frames))] == [
        ("Basic.Ack", (2, True)), ("Basic.Nack", (3, False)), ("Basic.Ack", (5, True)),
    ]  # fmt: skip


def test_channels_count_for_themselves_and_anew_once_they_are_opened_again() -> None:
    frames = wire(ack(1, 1), ack(1, 2), ack(2, 2), (2, commands.Channel.OpenOk()), ack(1, 2), ack(2, 2))
    assert read(fed(frames))[:2] == [(1, "Basic.Ack", (1, False)), (2, "Basic.Ack", (2, True))]
    assert read(fed(frames))[3:] == [(2, "Basic.Ack", (2, True))]


def test_what_comes_back_is_read_before_it_is_confirmed() -> None:
    returned = [
        (1, commands.Basic.Return(312, "NO_ROUTE", "", "nowhere")), (1, header.ContentHeader(0, 4)),
        (1, ContentBody(b"body")),
    ]  # fmt: skip
    frames = wire(ack(1), ack(2), *returned, ack(3))
    assert [name for _, name, _ in read(fed(frames))] == [
        "Basic.Ack", "Basic.Return", "ContentHeader", "ContentBody", "Basic.Ack",
    ]  # fmt: skip


def test_what_was_begun_when_the_connection_ended_is_still_read() -> None:
    coalescer = Coalescer()
    assert coalescer.feed(b"AMQP\x00\x00\x09\x01") == b""
    assert coalescer.rest() == b"AMQP\x00\x00\x09\x01"


others = st.sampled_from(
    [
        (0, Heartbeat()), (1, commands.Channel.OpenOk()), (2, commands.Channel.OpenOk()), (1, ContentBody(b"text")),
        (2, commands.Basic.CancelOk("tag")), (1, commands.Basic.Deliver("tag", 7, False, "", "key")),
    ]
)  # fmt: skip
settling = st.builds(
    lambda kind, tag, channel, multiple: kind(tag, channel, multiple=multiple),
    st.sampled_from([ack, ack, ack, nack]), st.integers(1, 12), st.sampled_from([1, 1, 2]),
    st.sampled_from([False] * 4 + [True]),
)  # fmt: skip
rows = st.builds(
    lambda first, count, channel: [ack(tag, channel) for tag in range(first, first + count)],
    st.integers(1, 12), st.integers(1, 8), st.sampled_from([1, 2]),
)  # fmt: skip
conversations = st.lists(st.one_of(rows, st.lists(st.one_of(others, settling), min_size=1, max_size=3)), max_size=12)


@given(conversations, st.lists(st.integers(0, 2_000), max_size=6))
def test_every_message_meets_the_same_fate_at_the_same_place(
    conversation: list[list[tuple[int, object]]], cuts: list[int]
) -> None:
    data = wire(*(frame for piece in conversation for frame in piece))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    coalescer = Coalescer()
    out = b"".join(coalescer.feed(data[start:end]) for start, end in pairwise(edges))
    assert coalescer.rest() == b""
    assert settled(out) == settled(data)
    told = ("Basic.Ack", "Basic.Nack")
    assert [frame for frame in read(out) if frame[1] not in told] == [
        frame for frame in read(data) if frame[1] not in told
    ]
