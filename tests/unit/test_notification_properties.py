"""Whatever users prefer and whenever it is: every channel of every notification ends in exactly one way."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace import DeliveryStatus, Millrace, Notification
from millrace.testing import MillraceTest

CHANNELS = ("in-app", "email", "sms", "push", "webhook")
CATEGORIES = ("news", "billing")
USERS = ("kim", "lee")
ENDED = {DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.SUPPRESSED}

channels = st.lists(st.sampled_from(CHANNELS), max_size=5, unique=True)
clock = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 30]))
quiet_hours = st.fixed_dictionaries(
    {
        "start": clock,
        "end": clock,
        "timezone": st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Asia/Kolkata"]),
    }
).filter(lambda hours: hours["start"] != hours["end"])
preferences = st.fixed_dictionaries(
    {},
    optional={
        "channels": channels,
        "categories": st.dictionaries(st.sampled_from(CATEGORIES), st.booleans()),
        "matrix": st.dictionaries(
            st.sampled_from(CATEGORIES), st.dictionaries(st.sampled_from(CHANNELS), st.booleans())
        ),
        "quiet_hours": quiet_hours,
    },
)
contacts = st.dictionaries(st.sampled_from(CHANNELS[1:]), st.just("somewhere"))
triggers = st.lists(
    st.fixed_dictionaries(
        {"user_id": st.sampled_from(USERS), "title": st.just("t")},
        optional={
            "channels": channels,
            "category": st.sampled_from(CATEGORIES),
            "critical": st.booleans(),
            "throttle": st.just({"key": "k", "limit": 2, "per": 7_200}),
            "digest": st.just({"key": "d", "window": 1_800}),
        },
    ),
    min_size=1,
    max_size=12,
)
# Among them the nights in which the clocks of Zurich and New York change.
starts = st.datetimes(datetime(2026, 3, 6), datetime(2026, 3, 31)).map(lambda time: time.replace(tzinfo=UTC))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    default=preferences,
    own=st.fixed_dictionaries({user: preferences for user in USERS}),
    reached=st.fixed_dictionaries({user: contacts for user in USERS}),
    wishes=triggers,
    start=starts,
    pause=st.integers(0, 3_600),
)
def test_every_trigger_is_sent_deferred_suppressed_or_failed(
    default: dict[str, Any],
    own: dict[str, dict[str, Any]],
    reached: dict[str, dict[str, str]],
    wishes: list[dict[str, Any]],
    start: datetime,
    pause: int,
) -> None:
    async def run() -> None:
        async with MillraceTest(start=start) as app:
            await app.notifications.set_preferences("*", default)
            for user in USERS:
                await app.notifications.set_preferences(user, own[user])
                await app.notifications.set_contacts(user, reached[user])
            ids = []
            for wish in wishes:
                ids.append((await app.notifications.send(wish)).id)
                app.clock.advance(pause)
            await each_step_has_one_state(app, ids)
            # However long the nights are, two days later nothing is left to be done.
            for _ in range(96):
                app.clock.advance(timedelta(minutes=30).total_seconds())
            await each_step_has_ended_once(app, ids)

    asyncio.run(run())


async def found(app: Millrace, id: str) -> Notification:
    notification = await app.notifications.get(id)
    assert notification is not None
    return notification


async def each_step_has_one_state(app: MillraceTest, ids: list[str]) -> None:
    for id in ids:
        notification = await found(app, id)
        assert sorted(each.channel for each in notification.deliveries) == sorted(notification.channels)
        for each in notification.deliveries:
            assert each.status in ENDED | {DeliveryStatus.DEFERRED}
            assert (each.reason is not None) == (each.status in (DeliveryStatus.DEFERRED, DeliveryStatus.SUPPRESSED))


async def each_step_has_ended_once(app: MillraceTest, ids: list[str]) -> None:
    ends: Counter[tuple[str, str]] = Counter()
    for id in ids:
        for event in await app.history("notification", id):
            if event.eventtype in ("notification.sent", "notification.delivered", "notification.suppressed"):
                ends[id, event.data["channel"]] += 1
    wanted = {(id, channel) for id in ids for channel in (await found(app, id)).channels}
    assert ends == dict.fromkeys(wanted, 1)
    sent = Counter((each["notification_id"], each["channel"]) for each in app.outbox)
    assert not sent or max(sent.values()) == 1
    digests = [await found(app, each["notification_id"]) for each in app.outbox if each["notification_id"] not in ids]
    summed_up = Counter((id, digest.channels[0]) for digest in digests for id in digest.digest_of)
    digested = {
        (id, each.channel) for id in ids for each in (await found(app, id)).deliveries if each.reason == "digested"
    }
    assert summed_up == dict.fromkeys(digested, 1), "each digested one is in exactly one digest that was sent"
    for id in ids:
        notification = await found(app, id)
        alone = {channel for one, channel in sent if one == id}
        assert alone == {each.channel for each in notification.deliveries if each.status == DeliveryStatus.SENT}
