"""Topic patterns, position tokens and derived ids: what every client and every process must agree on."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.problems import PROBLEMS, problem
from millrace.contracts.wire import Context, Token, derived_id, matches, pattern_expression
from tests.controls.patterns import BROKEN, MATCHES

WORDS_OF_TWO = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=6)
WORDS = st.lists(st.text("ab-_1", min_size=1, max_size=5), min_size=1, max_size=6)


@pytest.mark.parametrize(("pattern", "event_type", "expected"), MATCHES)
def test_a_topic_pattern_matches_as_in_amqp(pattern: str, event_type: str, expected: bool) -> None:
    assert matches(pattern, event_type) is expected


@pytest.mark.parametrize("pattern", BROKEN)
def test_what_is_no_topic_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a topic pattern"):
        pattern_expression(pattern)


@given(words=WORDS)
def test_every_event_type_matches_itself_its_stars_and_everything(words: list[str]) -> None:
    event_type = ".".join(words)
    assert matches(event_type, event_type)
    assert matches(".".join("*" for _ in words), event_type)
    assert matches("#", event_type)
    assert not matches(".".join(["*", *("*" for _ in words)]), event_type)


def test_a_token_is_read_back_as_it_was_written() -> None:
    token = Token(epoch="9f3c11", position=1_700)
    assert str(token) == "9f3c11-1700"
    assert Token.parse(str(token)) == token


@pytest.mark.parametrize("text", ["", "-", "17", "-17", "abc-", "abc-x", "abc--1", "a b-1", "abc-१", "abc-1.5"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a position token"):
        Token.parse(text)


def test_an_id_is_a_function_of_the_tenant_and_the_command() -> None:
    assert derived_id("acme", "m-11") == derived_id("acme", "m-11")
    assert derived_id("acme", "m-11") != derived_id("globex", "m-11")
    assert derived_id("acme", "m-11") != derived_id("acme", "m-12")
    assert UUID(derived_id("acme", "m-11")).version == 8


def test_a_time_ordered_command_id_passes_its_time_on() -> None:
    command = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
    assert derived_id("acme", command).startswith("0190a1b2-c3d4-7")
    assert derived_id("acme", f"{command}/17").startswith("0190a1b2-c3d4-7")
    assert derived_id("acme", f"{command}/17") != derived_id("acme", f"{command}/18")


def test_what_only_looks_like_a_time_ordered_id_is_taken_as_text() -> None:
    assert UUID(derived_id("acme", "not-a-uuid-bu7-but-as-long-as-one---")).version == 8


@given(command=st.text(min_size=1, max_size=60))
def test_every_command_id_gives_a_uuid(command: str) -> None:
    assert str(UUID(derived_id("acme", command))) == derived_id("acme", command)


def test_a_batch_item_without_an_id_takes_its_place_in_the_batch() -> None:
    context = Context("acme", "m-11", actor="kim")
    assert context.item(3) == Context("acme", "m-11/3", actor="kim")
    assert context.item(3, "own") == Context("acme", "own", actor="kim")


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_has_a_status_of_an_error_and_a_title(code: str) -> None:
    made = problem(code, "detail", retry_after=1.5)
    assert 400 <= made.status <= 599
    assert made.title
    assert made.type == f"urn:millrace:problem:{code}"
    assert (made.code, made.detail, made.retry_after) == (code, "detail", 1.5)


@given(pattern=st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=6), words=WORDS_OF_TWO)
def test_matching_agrees_with_the_expression_that_postgresql_gets(pattern: list[str], words: list[str]) -> None:
    event_type = ".".join(words)
    expected = re.match(pattern_expression(".".join(pattern)), event_type + ".") is not None
    assert matches(".".join(pattern), event_type) is expected


def test_a_pattern_of_many_hashes_is_matched_as_soon_as_any() -> None:
    # A backtracking matcher would need longer than the age of the universe for this one.
    assert not matches(".".join(["#", "a"] * 15 + ["z"]), ".".join(["a"] * 90))


def test_a_pattern_has_an_end() -> None:
    with pytest.raises(ValueError, match="at most 32 words"):
        pattern_expression(".".join(["a"] * 33))
