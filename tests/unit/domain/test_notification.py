"""The rules of a notification: each channel ends once, and whoever it is not for does not know of it."""

from __future__ import annotations

from typing import Any

import pytest

from domain import notification_events as events
from domain.aggregate import Event
from domain.notification_errors import NoSuchNotification, NothingToCancel, NotInInbox, NotSent
from tests.controls.clock import NOW, later
from tests.support.spec import given

STREAM = "notification:acme:n-1"
CONTENT: dict[str, Any] = {
    "user_id": "kim", "type": "info", "title": "t", "message": "", "html": None, "category": None, "action_url": None,
    "action_label": None, "metadata": {}, "channels": ["in-app", "email"], "critical": False, "in_inbox": True,
    "locale": None, "template": None, "throttle": None, "digest": None, "digest_of": [],
}  # fmt: skip
ADDRESS, DELIVERY = "kim@example.org", "d-1"


def created(**changed: Any) -> events.Created:
    return events.Created(STREAM, 1, NOW, **{**CONTENT, **changed})


def queued(version: int = 2) -> events.Queued:
    return events.Queued(STREAM, version, NOW, "email", ADDRESS, DELIVERY)


def deferred(version: int = 2, step: int = 60) -> events.Deferred:
    return events.Deferred(STREAM, version, NOW, "email", ADDRESS, DELIVERY, "quiet-hours", later(step))


def sent(version: int, attempt: int = 1) -> events.Sent:
    return events.Sent(STREAM, version, later(1), "email", attempt, "smtp", "m-1", None)


def test_an_attempt_that_succeeds_ends_the_channel() -> None:
    given(created(), queued()).when(lambda it: it.sent("email", 1, "smtp", "m-1", later(1))).then(sent(3))


def test_failed_attempts_are_counted_until_one_is_the_last() -> None:
    failed = events.AttemptFailed(STREAM, 3, later(1), "email", 1, "smtp", "busy", later(6))
    given(created(), queued()).when(lambda it: it.fail_attempt("email", 1, "smtp", "busy", later(6), later(1))).then(
        failed
    )
    given(created(), queued(), failed).when(
        lambda it: it.fail("email", 2, "smtp", "attempts-exhausted", "busy", later(7))
    ).then(events.Failed(STREAM, 4, later(7), "email", 2, "smtp", "attempts-exhausted", "busy"))


def test_what_has_ended_is_sent_once_more_under_the_same_id() -> None:
    again = events.Queued(STREAM, 4, later(9), "email", ADDRESS, DELIVERY)
    given(created(), queued(), sent(3)).when(lambda it: it.resend("email", later(9))).then(again)
    given(created(), queued(), sent(3), again).when(lambda it: it.sent("email", 1, "smtp", "m-2", later(10))).then(
        events.Sent(STREAM, 5, later(10), "email", 1, "smtp", "m-2", None)
    )


def test_what_is_still_to_be_sent_is_not_queued_twice() -> None:
    given(created(), queued()).when(lambda it: it.resend("email", later(9))).nothing()
    given(created(), deferred()).when(lambda it: it.resend("email", later(9))).nothing()


@pytest.mark.parametrize("channel", ["in-app", "sms"])
def test_what_was_never_to_be_sent_cannot_be_sent_once_more(channel: str) -> None:
    shown = events.Delivered(STREAM, 2, NOW, "kim", "in-app")
    given(created(), shown).when(lambda it: it.resend(channel, later(9))).refused(NotSent)


ENDS: list[Event] = [
    sent(3),
    events.Failed(STREAM, 3, later(1), "email", 1, "smtp", "rejected", "no"),
    events.Suppressed(STREAM, 3, later(1), "email", "cancelled", "no"),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.TOPIC)
def test_what_has_ended_stays_so_whatever_is_told_later(end: Event) -> None:
    history = given(created(), queued(), end)
    history.when(lambda it: it.sent("email", 1, "smtp", "m-2", later(2))).then()
    history.when(lambda it: it.sent("email", 2, "smtp", "m-2", later(2))).then()
    history.when(lambda it: it.fail("email", 1, "smtp", "rejected", "no", later(2))).then()
    history.when(lambda it: it.fail_attempt("email", 1, "smtp", "busy", later(6), later(2))).then()
    history.when(lambda it: it.suppress("email", "digested", "d", later(2))).then()
    history.when(lambda it: it.defer("email", ADDRESS, DELIVERY, "quiet-hours", later(9), later(2))).then()


def test_an_outcome_of_another_attempt_is_no_news() -> None:
    history = given(created(), queued())
    history.when(lambda it: it.sent("email", 2, "smtp", None, later(1))).then()
    history.when(lambda it: it.sent("sms", 1, "smtp", None, later(1))).then()


def test_the_same_deferral_is_recorded_once() -> None:
    history = given(created(), deferred())
    history.when(lambda it: it.defer("email", ADDRESS, DELIVERY, "quiet-hours", later(60), later(1))).then()
    history.when(lambda it: it.defer("email", ADDRESS, DELIVERY, "quiet-hours", later(90), later(1))).then(
        events.Deferred(STREAM, 3, later(1), "email", ADDRESS, DELIVERY, "quiet-hours", later(90))
    )


def test_a_provider_may_tell_later_what_became_of_it() -> None:
    history = given(created(), queued(), sent(3))
    delivered = events.Delivered(STREAM, 4, later(2), "kim", "email")
    history.when(lambda it: it.acknowledge("email", "delivered", "", later(2))).then(delivered)
    history.when(lambda it: it.acknowledge("email", "failed", "no route", later(2))).then(
        events.Failed(STREAM, 4, later(2), "email", 1, "smtp", "undelivered", "no route")
    )
    history.when(lambda it: it.acknowledge("email", "bounced", "550", later(2))).then(
        events.Failed(STREAM, 4, later(2), "email", 1, "smtp", "bounced", "550")
    )
    given(created(), queued()).when(lambda it: it.acknowledge("email", "delivered", "", later(2))).refused(NotSent)
    arrived = given(created(), queued(), sent(3), delivered)
    arrived.when(lambda it: it.acknowledge("email", "failed", "no route", later(3))).then()
    arrived.when(lambda it: it.acknowledge("email", "bounced", "550", later(3))).then(
        events.Failed(STREAM, 5, later(3), "email", 1, "smtp", "bounced", "550")
    )


def test_what_is_told_of_another_message_than_the_last_changes_nothing() -> None:
    history = given(created(), queued(), events.Sent(STREAM, 3, later(1), "email", 1, "smtp", "m-2", None))
    for provider, message_id in (("sendgrid", "m-2"), ("smtp", "m-1")):
        history.when(
            lambda it, provider=provider, message_id=message_id: it.acknowledge(
                "email", "bounced", "550", later(2), provider=provider, provider_message_id=message_id
            )
        ).then()
    history.when(
        lambda it: it.acknowledge("email", "delivered", "", later(2), provider="smtp", provider_message_id="m-2")
    ).then(events.Delivered(STREAM, 4, later(2), "kim", "email"))


def test_what_a_provider_tells_before_it_is_recorded_as_sent_records_both() -> None:
    given(created(), queued()).when(
        lambda it: it.acknowledge("email", "delivered", "", later(2), provider="sendgrid", provider_message_id="m-1")
    ).then(
        events.Sent(STREAM, 3, later(2), "email", 1, "sendgrid", "m-1", None),
        events.Delivered(STREAM, 4, later(2), "kim", "email"),
    )


def test_reading_the_whole_inbox_leaves_what_has_come_back_since() -> None:
    read = events.Read(STREAM, 2, later(5), "kim")
    given(created()).when(lambda it: it.read_with_inbox(later(1), later(5))).then(read)
    given(created(), read).when(lambda it: it.read_with_inbox(later(6), later(7))).then()
    back = (events.Snoozed(STREAM, 2, later(2), "kim", later(3)), events.Woken(STREAM, 3, later(3), "kim"))
    given(created(), *back).when(lambda it: it.read_with_inbox(later(1), later(5))).then()
    given(created(), *back).when(lambda it: it.read_with_inbox(later(4), later(5))).then(
        events.Read(STREAM, 4, later(5), "kim")
    )


def test_reading_is_recorded_once_and_for_its_user_only() -> None:
    read = events.Read(STREAM, 2, later(1), "kim")
    given(created()).when(lambda it: it.read("kim", later(1))).then(read)
    given(created()).when(lambda it: it.read(None, later(1))).then(read)
    given(created(), read).when(lambda it: it.read("kim", later(2))).then()
    given(created()).when(lambda it: it.read("lee", later(1))).refused(NoSuchNotification)


def test_cancelling_ends_what_is_pending() -> None:
    cancelled = events.Cancelled(STREAM, 3, later(1), "kim", "wrong")
    suppressed = events.Suppressed(STREAM, 4, later(1), "email", "cancelled", "wrong")
    history = given(created(), deferred())
    history.when(lambda it: it.cancel("kim", "wrong", later(1))).then(cancelled, suppressed)
    history.when(lambda it: it.cancel("lee", None, later(1))).refused(NoSuchNotification)
    given(created(), deferred(), cancelled, suppressed).when(lambda it: it.cancel("kim", None, later(2))).then()
    given(created(in_inbox=False), queued(), sent(3)).when(lambda it: it.cancel("kim", None, later(2))).refused(
        NothingToCancel
    )


def test_a_snooze_hides_and_its_end_makes_it_unread() -> None:
    snoozed = events.Snoozed(STREAM, 2, later(1), "kim", later(60))
    given(created()).when(lambda it: it.snooze("kim", later(60), later(1))).then(snoozed)
    history = given(created(), snoozed)
    history.when(lambda it: it.wake(later(60), later(60))).then(events.Woken(STREAM, 3, later(60), "kim"))
    history.when(lambda it: it.wake(later(30), later(60))).then()
    given(created(in_inbox=False)).when(lambda it: it.snooze("kim", later(60), later(1))).refused(NotInInbox)


def test_only_what_is_over_can_be_removed() -> None:
    removed = events.Removed(STREAM, 2, later(9), "kim", "retention")
    given(created()).when(lambda it: it.remove("retention", later(9))).then(removed)
    given(created(), removed).when(lambda it: it.remove("retention", later(9))).then()
    given(created(), removed).when(lambda it: it.read("kim", later(9))).refused(NoSuchNotification)
    given(created(), deferred()).when(lambda it: it.remove("retention", later(9))).then()
