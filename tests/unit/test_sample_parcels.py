"""Samples in notifications: as few as have room for them, none too large, the newest of each subject."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from adapters.contracts.samples import at
from adapters.postgres.samples import MOST_BYTES, parcels
from adapters.samples import Newest

SERVERS_BOUND = 8_000
PROCESS = "0123456789abcdef0123456789abcdef"


@given(st.lists(st.text(max_size=2_000), max_size=60))
def test_notifications_have_every_sample_in_order_and_are_never_too_large(subjects: list[str]) -> None:
    texts = [to_json(at(5, subject)) for subject in subjects]
    texts = [text for text in texts if len(text) < MOST_BYTES - len(PROCESS) - 3]
    found = parcels(PROCESS, texts)
    assert all(len(parcel.encode()) < SERVERS_BOUND for parcel in found)
    told = [sample for parcel in found for sample in json.loads(parcel.partition(" ")[2])]
    assert told == [json.loads(text) for text in texts]


def test_as_few_notifications_as_possible() -> None:
    texts = [b"1" * 10] * 10
    # Who sends it, a space, two brackets, and a comma between two samples.
    full = len(PROCESS) + 3 + 5 * 10 + 4
    assert [len(each) for each in parcels(PROCESS, texts, full)] == [full, full]
    assert len(parcels(PROCESS, texts, full - 1)) == 3
    assert parcels(PROCESS, []) == []


def test_the_newest_of_each_subject_waits_and_where_too_many_do_the_oldest_goes_and_is_counted() -> None:
    waiting = Newest(most=3)
    for percent in range(100):
        waiting.put(at(percent, "busy"))
    assert waiting.left_out == 0
    for number in range(4):
        waiting.put(at(number, f"upload-{number}"))
    assert waiting.left_out == 2
    assert [waiting.pop(), waiting.pop()] == [at(1, "upload-1"), at(2, "upload-2")]
    assert (waiting.take(), waiting.pop()) == ([at(3, "upload-3")], None)
