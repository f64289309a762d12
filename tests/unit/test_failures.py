"""Which failures are the same one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.contracts.failures import LONGEST, failure_of

TRACE = """Traceback (most recent call last):
  File "/srv/app/tasks.py", line {line}, in resize
    decode(path)
  File "/srv/{folder}/codec.py", line 7, in decode
    raise ValueError(path)
ValueError: {path}
"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user 17 is unknown", "user 4211 is unknown"),
        ("no file 'a.png'", "no file 'folder/b c.png'"),
        ('no file "a.png"', 'no file "b.png"'),
        ("job 0199c2f0-1111-7abc-8def-000000000001 is gone", "job 6ba7b810-9dad-11d1-80b4-00c04fd430c8 is gone"),
        ("object at 0x7f12ab", "object at 0x55ffee10"),
        ("commit 9f3c11a2b is bad", "commit 00ab12cd34ef is bad"),
        ("took 1.25 s", "took 3 s"),
        ("broken\nat line 3 of x", "broken\nfor another reason"),
        ("too   wide", "too wide "),
    ],
)
def test_what_comes_with_the_data_makes_no_difference(one: str, other: str) -> None:
    assert failure_of("resize", "ValueError", one, None) == failure_of("resize", "ValueError", other, None)


def test_the_message_is_shown_with_stars_for_what_differs() -> None:
    assert failure_of("n", "E", "user 17 has no file 'a.png'", None).message == "user * has no file *"


def test_words_stay_words() -> None:
    assert failure_of("n", "E", "the deadbeef facade is defaced", None).message == "the deadbeef facade is defaced"


OTHERS = [("shrink", "ValueError", "no"), ("resize", "KeyError", "no"), ("resize", "ValueError", "yes")]


@pytest.mark.parametrize("changed", OTHERS)
def test_another_name_type_or_message_is_another_failure(changed: tuple[str, str, str]) -> None:
    assert failure_of(*changed, None).fingerprint != failure_of("resize", "ValueError", "no", None).fingerprint


def test_lines_and_folders_of_the_code_make_no_difference_but_its_place_does() -> None:
    one = failure_of("n", "E", "no", TRACE.format(line=3, folder="v1", path="a"))
    other = failure_of("n", "E", "no", TRACE.format(line=300, folder="v2", path="b"))
    assert (one.frame, one) == ("codec.py:decode", other)
    moved = TRACE.format(line=3, folder="v1", path="a").replace("in decode", "in read")
    assert failure_of("n", "E", "no", moved) != one


@given(st.text(), st.text(), st.text(), st.one_of(st.none(), st.text()))
def test_any_text_has_a_fingerprint_of_bounded_parts(name: str, kind: str, message: str, traceback: str | None) -> None:
    failure = failure_of(name, kind, message, traceback)
    assert len(failure.fingerprint) == 16
    assert len(failure.message) <= LONGEST
    assert failure == failure_of(name, kind, message, traceback)
