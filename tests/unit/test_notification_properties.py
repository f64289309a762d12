"""Whatever users prefer and whenever it is: every channel of every notification ends in exactly one way."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, assert_never

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace import DeliveryStatus, Millrace, NonRetryable, Notification, Refused
from millrace.notification_channels import OutgoingNotification
from millrace.testing import MillraceTest

OWN = "pigeon"
CHANNELS = ("in-app", "email", "sms", "push", "webhook", OWN)
CATEGORIES = ("news", "billing")
USERS = ("kim", "lee")
ENDS = ("notification.sent", "notification.delivered", "notification.suppressed", "notification.failed")
ENDED = {DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.SUPPRESSED}

channels = st.lists(st.sampled_from(CHANNELS), max_size=5, unique=True)


def hours_from(start: int, length: int, timezone: str) -> dict[str, str]:
    """Quiet hours; start and length are in half hours."""
    clock = [f"{half // 2 % 24:02d}:{half % 2 * 30:02d}" for half in (start, start + length)]
    return {"start": clock[0], "end": clock[1], "timezone": timezone}


quiet_hours = st.builds(
    hours_from,
    st.integers(0, 47),
    st.integers(1, 47),
    st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Asia/Kolkata"]),
)
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
ADDRESSES = {"email": "one@example.org", "sms": "+1", "push": "token", "webhook": "https://example.org", OWN: "loft"}
contacts = st.sets(st.sampled_from(CHANNELS[1:])).map(lambda names: {name: ADDRESSES[name] for name in names})
trigger = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(USERS),
        "title": st.just("t"),
        "channels": st.one_of(channels, st.sampled_from([[OWN], [OWN, "email", "in-app"]])),
    },
    optional={
        "category": st.sampled_from(CATEGORIES),
        "critical": st.booleans(),
        "throttle": st.just({"key": "k", "limit": 2, "per": 7_200}),
        "digest": st.just({"key": "d", "window": 1_800}),
    },
)
place = st.integers(0, 11)
seconds = st.integers(0, 7_200)
# What happens, in order: somebody sends, changes a mind, or time passes, with a worker that sends or with none.
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("send"), trigger),
        st.tuples(st.just("send"), trigger),
        st.tuples(st.just("cancel"), place),
        st.tuples(st.just("snooze"), place),
        st.tuples(st.just("read"), place),
        st.tuples(st.just("unsubscribe"), st.sampled_from(USERS), st.sampled_from(CATEGORIES)),
        st.tuples(st.just("work"), seconds),
        st.tuples(st.just("wait"), seconds),
    ),
    min_size=8,
    max_size=24,
)
# How the attempts of an application's own channel end, in the order in which they are made, and all that come after.
Ending = Literal["sent", "later", "never"]
endings: st.SearchStrategy[Ending] = st.sampled_from(["sent", "later", "never"])
# Among them the nights in which the clocks of Zurich and New York change.
starts = st.datetimes(datetime(2026, 3, 6), datetime(2026, 3, 31)).map(lambda time: time.replace(tzinfo=UTC))


class Pigeons:
    """An application's own channel, which does with its attempts what it was told to.

    Attributes:
        tried: deliveries, by (delivery id, attempt).
        sent: those that it has taken.
        digests: the notifications that sum up others.
    """

    def __init__(self, script: Iterable[Ending], after: Ending) -> None:
        self._script, self._after = deque(script), after
        self.tried: list[tuple[str, int]] = []
        self.sent: list[tuple[str, str]] = []
        self.digests: dict[str, Notification] = {}

    async def send(self, outgoing: OutgoingNotification) -> None:
        self.tried.append((outgoing.delivery_id, outgoing.attempt))
        ending = self._script.popleft() if self._script else self._after
        if outgoing.notification.digest_of:
            self.digests[outgoing.notification.id] = outgoing.notification
        match ending:
            case "sent":
                self.sent.append((outgoing.notification.id, OWN))
            case "later":
                raise ConnectionError("no wind")
            case "never":
                raise NonRetryable("no such loft")
            case _:
                assert_never(ending)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    default=preferences,
    own=st.fixed_dictionaries({user: preferences for user in USERS}),
    reached=st.fixed_dictionaries({user: contacts for user in USERS}),
    happened=happenings,
    script=st.lists(endings, max_size=15),
    after=endings,
    start=starts,
)
def test_every_trigger_is_sent_deferred_suppressed_or_failed(
    default: dict[str, Any],
    own: dict[str, dict[str, Any]],
    reached: dict[str, dict[str, str]],
    happened: list[tuple[Any, ...]],
    script: list[Ending],
    after: Ending,
    start: datetime,
) -> None:
    async def run() -> None:
        async with MillraceTest(start=start) as app:
            pigeons = Pigeons(script, after)
            app.notifications.register_channel(OWN, pigeons)
            await app.notifications.set_preferences("*", default)
            for user in USERS:
                await app.notifications.set_preferences(user, own[user])
                await app.notifications.set_contacts(user, reached[user])
            ids: list[str] = []
            for happening in happened:
                await happens(app, ids, own, happening)
                await each_step_has_one_state(app, ids)
            # However long the nights are and however often something failed, three days later nothing is left to do.
            await app.run_jobs(advance=timedelta(days=3).total_seconds())
            await each_step_has_ended_once(app, ids, pigeons)

    asyncio.run(run())


async def happens(
    app: MillraceTest, ids: list[str], own: dict[str, dict[str, Any]], happening: tuple[Any, ...]
) -> None:
    match happening:
        case ("send", wish):
            ids.append((await app.notifications.send(wish)).id)
        case ("unsubscribe", user, category):
            categories = {**own[user].get("categories", {}), category: False}
            await app.notifications.set_preferences(user, {**own[user], "categories": categories})
        case ("work", seconds):
            await app.run_jobs(advance=seconds)
        case ("wait", seconds):
            app.clock.advance(seconds)
        case (action, place) if ids:
            # What has gone out, or is in no inbox, cannot be called back or hidden; that is a refusal, and no change.
            with suppress(Refused):
                await changed(app, action, ids[place % len(ids)])


async def changed(app: MillraceTest, action: str, id: str) -> None:
    match action:
        case "cancel":
            await app.notifications.cancel(id)
        case "snooze":
            await app.notifications.snooze(id, seconds=3_600)
        case "read":
            await app.notifications.mark_as_read(id)
        case _:
            raise ValueError(action)


async def found(app: Millrace, id: str) -> Notification:
    notification = await app.notifications.get(id)
    assert notification is not None
    return notification


async def each_step_has_one_state(app: MillraceTest, ids: list[str]) -> None:
    for id in ids:
        notification = await found(app, id)
        assert sorted(each.channel for each in notification.deliveries) == sorted(notification.channels)
        for each in notification.deliveries:
            # The service's own channels send at once here; the application's may be waiting for its worker.
            waiting = {DeliveryStatus.DEFERRED} | ({DeliveryStatus.QUEUED} if each.channel == OWN else set())
            assert each.status in ENDED | waiting
            if each.status in (DeliveryStatus.DEFERRED, DeliveryStatus.SUPPRESSED, DeliveryStatus.FAILED):
                assert each.reason is not None


async def each_step_has_ended_once(app: MillraceTest, ids: list[str], pigeons: Pigeons) -> None:
    ends: Counter[tuple[str, str]] = Counter()
    for id in ids:
        for event in await app.history("notification", id):
            if event.eventtype in ENDS:
                ends[id, event.data["channel"]] += 1
    wanted = {(id, channel) for id in ids for channel in (await found(app, id)).channels}
    assert ends == dict.fromkeys(wanted, 1)
    sent = Counter([*((each["notification_id"], each["channel"]) for each in app.outbox), *pigeons.sent])
    assert not sent or max(sent.values()) == 1
    assert len(pigeons.tried) == len(set(pigeons.tried)), "no attempt is made twice"
    digests = {id: await found(app, id) for id in {id for id, _ in sent if id not in ids} | pigeons.digests.keys()}
    summed_up = Counter((id, digest.channels[0]) for digest in digests.values() for id in digest.digest_of)
    deliveries = [(id, each) for id in [*ids, *digests] for each in (await found(app, id)).deliveries]
    digested = [(id, each.channel) for id, each in deliveries if each.reason == "digested"]
    assert summed_up == dict.fromkeys(digested, 1), "each digested one is in exactly one digest"
    for id, each in deliveries:
        assert each.status in ENDED
        assert ((id, each.channel) in sent) == (each.status == DeliveryStatus.SENT)
        if each.status == DeliveryStatus.FAILED:
            assert each.channel == OWN
            assert (each.reason == "attempts-exhausted") == (each.attempts == 8) or each.reason == "rejected"
