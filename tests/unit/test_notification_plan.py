"""Which channels a notification takes, and when quiet hours end: also in the nights in which the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from millrace.contracts.inbox import QuietHours
from millrace.contracts.notification import Send
from millrace.contracts.notification_plan import (
    BUILT_IN,
    Defer,
    Queue,
    Said,
    Show,
    Step,
    Suppress,
    channels_of,
    end_of_quiet,
    plan,
)

NIGHT = datetime(2026, 2, 3, 23, 30, tzinfo=UTC)
ZURICH, NEW_YORK = ZoneInfo("Europe/Zurich"), ZoneInfo("America/New_York")
CONTACTS = {"email": {"address": "kim@example.org"}}
QUIET = {"start": "22:00", "end": "07:00", "timezone": "UTC"}


def said(contacts: dict[str, Any] | None = None, timezone: str | None = None, **preferences: Any) -> Said:
    return Said(preferences, CONTACTS if contacts is None else contacts, None, timezone)


def planned(own: Said | None = None, default: Said | None = None, **given: Any) -> dict[str, Step]:
    wish = Send.model_validate({"user_id": "kim", "title": "t", "channels": ["in-app", "email"], **given})
    return plan(wish, own or said(), default or Said(), BUILT_IN, NIGHT)


def reasons(steps: dict[str, Step]) -> dict[str, str | None]:
    return {channel: getattr(step, "reason", None) for channel, step in steps.items()}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "zone", "now", "until"),
    [
        # across midnight, from either side of it
        ("22:00", "07:00", UTC, "2026-02-03T22:00", "2026-02-04T07:00"),
        ("22:00", "07:00", UTC, "2026-02-04T06:59:59", "2026-02-04T07:00"),
        ("22:00", "07:00", UTC, "2026-02-04T07:00", None),
        ("22:00", "07:00", UTC, "2026-02-03T21:59:59", None),
        # within one day
        ("12:00", "13:30", UTC, "2026-02-03T12:15", "2026-02-03T13:30"),
        ("12:00", "13:30", UTC, "2026-02-03T13:30", None),
        # by the user's wall clock
        ("22:00", "07:00", ZURICH, "2026-02-03T21:30", "2026-02-04T06:00"),
        ("22:00", "07:00", NEW_YORK, "2026-02-03T21:30", None),
        ("22:00", "07:00", NEW_YORK, "2026-02-04T03:30", "2026-02-04T12:00"),
        # the night of 29 March 2026 in Zurich is an hour shorter
        ("22:00", "07:00", ZURICH, "2026-03-28T21:30", "2026-03-29T05:00"),
        # 02:30 does not exist then: it is over when the clocks jump
        ("22:00", "02:30", ZURICH, "2026-03-28T23:00", "2026-03-29T01:00"),
        # the night of 25 October 2026 is an hour longer
        ("22:00", "07:00", ZURICH, "2026-10-24T21:00", "2026-10-25T06:00"),
        # 02:30 comes twice: before the first one it ends with that, between the two with the second
        ("22:00", "02:30", ZURICH, "2026-10-24T22:00", "2026-10-25T00:30"),
        ("22:00", "02:30", ZURICH, "2026-10-25T01:10", "2026-10-25T01:30"),
    ],
)
def test_quiet_hours_end_when_the_wall_clock_says_so(
    start: str, end: str, zone: ZoneInfo, now: str, until: str | None
) -> None:
    zone = ZoneInfo("UTC") if zone is UTC else zone
    found = end_of_quiet(time.fromisoformat(start), time.fromisoformat(end), zone, utc(now))
    assert found == (None if until is None else utc(until))


def test_quiet_hours_defer_what_would_disturb_and_nothing_critical() -> None:
    quiet = said(quiet_hours=QUIET)
    assert planned(quiet) == {
        "in-app": Show(),
        "email": Defer("kim@example.org", "quiet-hours", utc("2026-02-04T07:00")),
    }
    assert planned(quiet, critical=True)["email"] == Queue("kim@example.org")


@pytest.mark.parametrize(
    "clock", ["22:00\n", "2\u0662:00", "\u0662\u0662:00", "22:60", "24:00", "2:00", "22:00:00", ""]
)
def test_a_time_of_day_has_two_digits_twice_and_what_was_recorded_otherwise_stops_nothing(clock: str) -> None:
    with pytest.raises(ValidationError, match=r"start"):
        QuietHours(start=clock, end="07:00")
    recorded = said(quiet_hours={"start": "2\u0662:00", "end": "07:00\n", "timezone": "UTC"})
    assert planned(recorded) == planned(said(quiet_hours=QUIET))


def test_quiet_hours_without_a_zone_are_meant_in_the_user_s() -> None:
    quiet = {"start": "22:00", "end": "07:00"}
    tokyo = planned(said(timezone="Asia/Tokyo", quiet_hours=quiet))
    assert tokyo["email"] == Queue("kim@example.org")
    default = Said({"quiet_hours": quiet}, {}, None, "Europe/Zurich")
    assert planned(said(), default)["email"] == Defer("kim@example.org", "quiet-hours", utc("2026-02-04T06:00"))


def test_channels_come_from_the_sender_then_from_the_user_then_from_the_tenant() -> None:
    wish = Send(user_id="kim", title="t")
    assert channels_of(wish, Said(), Said()) == ("in-app",)
    assert channels_of(wish, Said(), Said({"channels": ["email"]})) == ("email",)
    assert channels_of(wish, Said({"channels": ["push"]}), Said({"channels": ["email"]})) == ("push",)
    asked = Send.model_validate({"user_id": "kim", "title": "t", "channels": ["in_app", "sms", "in-app"]})
    assert channels_of(asked, Said({"channels": ["push"]}), Said()) == ("in-app", "sms")


@pytest.mark.parametrize(
    ("own", "default", "email"),
    [
        ({}, {}, None),
        ({"channels": ["in-app"]}, {}, "channel-off"),
        ({"channels": []}, {}, "channel-off"),
        ({}, {"channels": ["in-app"]}, "channel-off"),
        ({"channels": ["email", "in-app"]}, {"channels": ["in-app"]}, None),
        ({"categories": {"news": False}}, {}, "category-off"),
        ({"categories": {"news": True}}, {"categories": {"news": False}}, None),
        ({}, {"categories": {"news": False}}, "category-off"),
        ({"categories": {"other": False}}, {}, None),
        ({"matrix": {"news": {"email": False}}}, {}, "category-off"),
        ({"matrix": {"news": {"email": True}}, "categories": {"news": False}, "channels": ["in-app"]}, {}, None),
        ({"matrix": {"news": {"sms": False}}}, {}, None),
        ({"matrix": {"news": {"email": True}}}, {"matrix": {"news": {"email": False}}}, None),
        ({"categories": {"news": True}}, {"matrix": {"news": {"email": False}}}, None),
    ],
)
def test_who_has_the_last_word(own: dict[str, Any], default: dict[str, Any], email: str | None) -> None:
    assert reasons(planned(said(**own), Said(default), category="news"))["email"] == email
    assert reasons(planned(said(**own), Said(default), category="news", critical=True))["email"] is None


def test_an_address_comes_from_the_command_or_from_the_contact_points() -> None:
    nobody = said(contacts={})
    assert planned(nobody)["email"] == Suppress("no-address", "user kim has no contact point for email")
    assert planned(nobody, recipient="a@example.org")["email"] == Queue("a@example.org")
    assert planned(nobody, recipient={"email": "b@example.org"})["email"] == Queue("b@example.org")
    assert reasons(planned(nobody, recipient={"sms": "+41"}))["email"] == "no-address"
    assert planned(nobody, channels=["pigeon"])["pigeon"] == Queue("kim")


def test_what_the_service_cannot_send_through_is_told_at_once() -> None:
    wish = Send(user_id="kim", title="t", channels=("in-app", "email"))
    steps = plan(wish, said(), Said(), {"in-app"}, NIGHT)
    assert reasons(steps) == {"in-app": None, "email": "not-configured"}
    assert reasons(plan(wish, said(), Said(), (), NIGHT))["in-app"] == "not-configured"


def test_a_digest_waits_for_its_window() -> None:
    digest = {"key": "builds", "window": 90}
    assert planned(digest=digest)["email"] == Defer("kim@example.org", "digest", utc("2026-02-03T23:31:30"))
    assert planned(digest=digest)["in-app"] == Show()
    assert planned(digest=digest, critical=True)["email"] == Queue("kim@example.org")
