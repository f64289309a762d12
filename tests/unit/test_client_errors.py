from __future__ import annotations

from typing import Any

import pytest

from millrace import errors
from millrace.errors import MillraceError, error_from
from millrace.repeating import Unanswered, Unreached, asks_for_later, repeat_until_answered
from millrace.transport_http import read_reply


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("not-found", errors.NotFound),
        ("unknown-command", errors.UnknownMessage),
        ("invalid", errors.Invalid),
        ("malformed", errors.Invalid),
        ("too-large", errors.TooLarge),
        ("unauthorized", errors.Unauthorized),
        ("forbidden", errors.Unauthorized),
        ("conflict", errors.Conflict),
        ("idempotency-mismatch", errors.IdempotencyMismatch),
        ("stale-attempt", errors.StaleAttempt),
        ("result-incomplete", errors.ResultIncomplete),
        ("reset", errors.LogReset),
        ("gone", errors.LogGone),
        ("behind", errors.Behind),
        ("refused", errors.Refused),
        ("a-code-of-a-newer-service", errors.Refused),
        ("unavailable", errors.Unavailable),
        ("too-many", errors.Unavailable),
    ],
)
def test_a_problem_becomes_the_error_of_its_code(code: str, kind: type[MillraceError]) -> None:
    error = error_from({"code": code, "status": 409, "title": "No", "detail": "not now", "retry_after": 1.5})
    assert type(error) is kind
    assert "not now" in str(error)
    if isinstance(error, errors.Unavailable):
        assert error.retry_after == 1.5


def test_a_reply_of_the_service_is_returned_whatever_its_status() -> None:
    assert read_reply(409, b'{"ok":false,"error":{"code":"conflict"}}') == {"ok": False, "error": {"code": "conflict"}}


def test_a_bare_problem_is_a_refusal() -> None:
    assert read_reply(415, b'{"code":"unsupported-media-type"}')["error"]["code"] == "unsupported-media-type"


@pytest.mark.parametrize("status", [200, 302, 502, 504])
def test_an_answer_of_something_in_between_leaves_the_outcome_open(status: int) -> None:
    with pytest.raises(Unanswered):
        read_reply(status, b"<html>")


def test_a_client_error_of_something_in_between_is_a_refusal() -> None:
    assert read_reply(413, b"<html>")["error"]["code"] == "too-large"


def test_a_batch_is_to_be_sent_again_when_one_item_could_not_be_served() -> None:
    served: dict[str, Any] = {"ok": True, "result": {}}
    refused = {"ok": False, "error": {"code": "invalid"}}
    busy = {"ok": False, "error": {"code": "unavailable", "retry_after": 0.2}}
    assert asks_for_later({"ok": True, "results": [served, refused]}) is None
    assert asks_for_later({"ok": True, "results": [served, busy]}) == 0.2


async def failing_with(error: MillraceError) -> MillraceError:
    async def attempt(remaining: float) -> dict[str, Any]:
        raise error

    with pytest.raises(MillraceError) as caught:
        await repeat_until_answered(attempt, message_id="m-7", timeout=0.2)
    return caught.value


async def test_a_service_that_was_never_reached_is_unavailable() -> None:
    assert type(await failing_with(Unreached("refused"))) is errors.Unavailable


async def test_a_service_that_never_answered_leaves_the_outcome_unknown() -> None:
    error = await failing_with(Unanswered("timeout"))
    assert isinstance(error, errors.OutcomeUnknown)
    assert error.message_id == "m-7"


async def test_one_attempt_in_doubt_leaves_the_outcome_unknown_whatever_came_after() -> None:
    outcomes: list[MillraceError] = [Unanswered("lost"), Unreached("refused"), Unreached("refused")]

    async def attempt(remaining: float) -> dict[str, Any]:
        raise outcomes.pop(0) if outcomes else Unreached("refused")

    with pytest.raises(errors.OutcomeUnknown):
        await repeat_until_answered(attempt, message_id="m-7", timeout=0.3)
