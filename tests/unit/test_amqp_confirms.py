"""Of a batch the last message alone is confirmed or refused; nothing else is changed, in whatever pieces it comes."""

from __future__ import annotations

from itertools import accumulate, pairwise
from random import Random

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, header
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.heartbeat import Heartbeat

from adapters.amqp.confirms import BatchConfirms

Sent = tuple[int, object]
ACK, NACK = "Basic.Ack", "Basic.Nack"


def wire(*frames: Sent) -> bytes:
    """What a broker sends, by channel and frame."""
    return b"".join(pamqp.frame.marshal(frame, channel) for channel, frame in frames)  # type: ignore[arg-type]


def ack(tag: int, channel: int = 1, *, multiple: bool = False) -> Sent:
    return channel, commands.Basic.Ack(tag, multiple)


def nack(tag: int, channel: int = 1, *, multiple: bool = False) -> Sent:
    return channel, commands.Basic.Nack(tag, multiple, requeue=False)


def read(data: bytes) -> list[tuple[int, str, object]]:
    """The frames in the data: channel, name, and tag or bytes."""
    frames: list[tuple[int, str, object]] = []
    while data:
        used, channel, frame = pamqp.frame.unmarshal(data)
        tag = dict(frame)["delivery_tag"] if isinstance(frame, Frame) and frame.name in (ACK, NACK) else data[:used]
        frames.append((channel, frame.name, tag))
        data = data[used:]
    return frames


def fed(frames: bytes, *batches: tuple[int, int]) -> list[tuple[int, str, object]]:
    """What is read where batches are expected, by channel and last tag."""
    confirms = BatchConfirms()
    for channel, last in batches:
        confirms.expect(channel, last)
    out = confirms.feed(frames)
    assert confirms.rest() == b""
    return read(out)


def test_a_batch_is_confirmed_once_when_all_of_it_is() -> None:
    assert fed(wire(*(ack(tag) for tag in range(1, 100))), (1, 100)) == []
    assert fed(wire(*(ack(tag) for tag in range(1, 101))), (1, 100)) == [(1, ACK, 100)]


def test_in_whatever_order_its_messages_are_confirmed() -> None:
    assert fed(wire(ack(3), ack(1), ack(4), ack(2)), (1, 4)) == [(1, ACK, 4)]
    assert fed(wire(ack(3), ack(1), ack(2, multiple=True), ack(4)), (1, 4)) == [(1, ACK, 4)]


def test_one_frame_may_confirm_many_batches() -> None:
    assert fed(wire(ack(6, multiple=True)), (1, 2), (1, 5), (1, 9)) == [(1, ACK, 2), (1, ACK, 5)]


@pytest.mark.parametrize(
    ("refusal", "read_instead"),
    [
        (nack(1), [(1, NACK, 2), (1, ACK, 5), (1, ACK, 9)]),
        (nack(2), [(1, NACK, 2), (1, ACK, 5), (1, ACK, 9)]),
        (nack(4), [(1, NACK, 5), (1, ACK, 2), (1, ACK, 9)]),
        (nack(4, multiple=True), [(1, NACK, 2), (1, NACK, 5), (1, ACK, 9)]),
        (nack(5, multiple=True), [(1, NACK, 2), (1, NACK, 5), (1, ACK, 9)]),
    ],
)
def test_a_refused_message_refuses_its_batch_once_and_no_other(
    refusal: Sent, read_instead: list[tuple[int, str, object]]
) -> None:
    assert fed(wire(refusal, ack(9, multiple=True)), (1, 2), (1, 5), (1, 9)) == read_instead


def test_where_no_batch_is_expected_everything_stays() -> None:
    frames = wire(ack(1, 2), ack(2, 2), nack(3, 2), ack(4, 2, multiple=True))
    assert fed(frames, (1, 2)) == read(frames)


def test_a_channel_that_is_opened_again_counts_anew() -> None:
    opened = (1, commands.Channel.OpenOk())
    assert fed(wire(ack(1), opened, ack(1), ack(2)), (1, 2)) == read(wire(opened, ack(1), ack(2)))
    confirms = BatchConfirms()
    confirms.expect(1, 2)
    confirms.feed(wire(ack(1), opened))
    confirms.expect(1, 3)
    assert read(confirms.feed(wire(ack(1), ack(2), ack(3)))) == [(1, ACK, 3)]


def test_what_comes_back_is_read_before_its_batch_is_confirmed() -> None:
    returned = [
        (1, commands.Basic.Return(312, "NO_ROUTE", "", "nowhere")), (1, header.ContentHeader(0, 4)),
        (1, ContentBody(b"body")),
    ]  # fmt: skip
    assert fed(wire(ack(1), *returned, ack(2), ack(3)), (1, 3)) == [*read(wire(*returned)), (1, ACK, 3)]


def test_what_was_begun_when_the_connection_ended_is_still_read() -> None:
    confirms = BatchConfirms()
    assert confirms.feed(b"AMQP\x00\x00\x09\x01") == b""
    assert confirms.rest() == b"AMQP\x00\x00\x09\x01"
    assert confirms.rest() == b""


others = st.sampled_from(
    [
        (0, Heartbeat()), (1, ContentBody(b"text")), (2, commands.Channel.OpenOk()), (2, commands.Basic.Ack(1, False)),
        (1, commands.Basic.CancelOk("tag")), (1, commands.Basic.Deliver("tag", 7, False, "", "key")),
    ]
)  # fmt: skip


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=5), st.randoms(use_true_random=False),
    st.lists(others, max_size=8), st.lists(st.integers(0, 2_000), max_size=6),
)  # fmt: skip
def test_every_batch_has_one_fate_and_all_else_stays(
    sizes: list[int],
    draw: Random,
    rest: list[Sent],
    cuts: list[int],
) -> None:
    ends = list(accumulate(sizes))
    tags = list(range(1, ends[-1] + 1))
    draw.shuffle(tags)
    refused = {tag for tag in tags if draw.random() < 0.15}
    frames: list[Sent] = [nack(tag) if tag in refused else ack(tag) for tag in tags]
    for other in rest:
        frames.insert(draw.randrange(len(frames) + 1), other)
    data, confirms = wire(*frames), BatchConfirms()
    for end in ends:
        confirms.expect(1, end)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    out = read(b"".join(confirms.feed(data[start:end]) for start, end in pairwise(edges)))

    fates = [frame for frame in out if frame[0] == 1 and frame[1] in (ACK, NACK)]
    starts = [0, *ends]
    assert sorted(fates, key=lambda fate: str(fate[2]).zfill(3)) == [
        (1, NACK if refused & set(range(start + 1, end + 1)) else ACK, end) for start, end in pairwise(starts)
    ]
    assert [frame for frame in out if frame not in fates] == read(wire(*(f for f in frames if f in rest)))
