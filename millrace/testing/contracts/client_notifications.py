"""Notifications: what is sent, what the inbox shows of it, and what keeps it from a channel."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from millrace import (
    Invalid,
    NotFound,
    Notification,
    NotificationChannel,
    NotificationPreferences,
    NotificationType,
    PartlyRefused,
    QuietHours,
    Refused,
)
from millrace.testing.contracts.bench import Bench, head

USER = "user-1"


async def found(bench: Bench, notification_id: str) -> Notification:
    notification = await bench.app.notifications.get(notification_id)
    assert notification is not None
    return notification


async def reasons(bench: Bench, notification_id: str) -> dict[str, tuple[str, str | None]]:
    """Status and reason by channel."""
    deliveries = (await found(bench, notification_id)).deliveries
    return {each.channel: (each.status.value, each.reason) for each in deliveries}


class NotificationsContract:
    async def test_what_a_provider_tells_later_counts_for_the_message_that_was_sent_last(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        sent = await notifications.send(user_id=USER, title="t", channels=["email"], recipient="one@example.org")
        await bench.until(lambda: reasons(bench, sent.id), lambda found: found == {"email": ("sent", None)})
        [email] = (await found(bench, sent.id)).deliveries

        async def tell(status: str, **more: str | None) -> dict[str, tuple[str, str | None]]:
            body = {"notification_id": sent.id, "channel": "email", "status": status, "reason": "550", **more}
            await bench.app.execute("notification.receipt", {key: each for key, each in body.items() if each})
            return await reasons(bench, sent.id)

        ours = {"provider": email.provider, "provider_message_id": email.provider_message_id}
        assert await tell("bounced", provider="another") == {"email": ("sent", None)}
        assert await tell("bounced", **{**ours, "provider_message_id": "another"}) == {"email": ("sent", None)}
        assert await tell("delivered", **ours) == {"email": ("delivered", None)}
        assert await tell("failed", **ours) == {"email": ("delivered", None)}
        assert await tell("bounced", **ours) == {"email": ("failed", "bounced")}
        assert await tell("delivered", **ours) == {"email": ("failed", "bounced")}
        with pytest.raises(Refused):
            await bench.app.execute(
                "notification.receipt", {"notification_id": sent.id, "channel": "sms", "status": "delivered"}
            )

    async def test_what_has_gone_out_since_a_time_is_sent_once_more_in_pages(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        ids = [
            (await notifications.send(user_id=USER, title=title, channels=["email"], recipient="one@example.org")).id
            for title in ("one", "two", "three")
        ]

        async def ends() -> list[tuple[str, str | None]]:
            return [(await reasons(bench, id))["email"] for id in ids]

        await bench.until(ends, lambda found: found == [("sent", None)] * 3)
        [first] = (await found(bench, ids[0])).deliveries
        assert first.updated_at is not None
        wish = {"channel": "email", "since": (first.updated_at - timedelta(hours=1)).isoformat(), "user_id": USER}

        async def ask(**more: object) -> dict[str, Any]:
            return (await bench.app.execute("notification.resend_since", {**wish, **more})).result

        assert (await ask(dry_run=True))["matched"] == 3
        page = await ask(limit=2)
        assert (page["matched"], page["changed"]) == (2, 2)
        rest = await ask(limit=2, cursor=page["cursor"])
        assert rest == {"matched": 1, "changed": 1, "refused": 0, "cursor": None}
        assert (await ask(channel="sms"))["matched"] == 0
        with pytest.raises(Invalid, match="cursor"):
            await ask(cursor="nonsense")
        with pytest.raises(Invalid, match="since"):
            await ask(since="yesterday")

    async def test_what_is_sent_is_in_the_inbox_with_all_that_it_was_given(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        sent = await notifications.send(
            Notification(
                type=NotificationType.SUCCESS,
                title="Transcription Complete",
                message="Your transcript 42 is ready",
                user_id=USER,
                category="transcription",
                action_url="/transcripts/42",
                action_label="View Transcript",
                metadata={"words": 1200},
                channels=(NotificationChannel.IN_APP,),
            )
        )
        assert [(each.channel, each.status) for each in sent.deliveries] == [("in-app", "delivered")]
        [shown] = await notifications.get_user_notifications(USER)
        assert shown.model_dump(exclude={"timestamp", "deliveries"}) == {
            "id": sent.id, "type": "success", "title": "Transcription Complete",
            "message": "Your transcript 42 is ready", "read": False, "user_id": USER, "category": "transcription",
            "action_url": "/transcripts/42", "action_label": "View Transcript", "metadata": {"words": 1200},
            "channels": ("in-app",), "critical": False, "locale": None, "template": None, "digest_of": (),
            "read_at": None, "snoozed_until": None, "cancelled": False,
        }  # fmt: skip
        assert shown.timestamp is not None
        assert await notifications.unread_count(USER) == 1

    async def test_a_repeated_message_sends_nothing_twice(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        first = await notifications.send(user_id=USER, title="once", message_id="n-1")
        assert (await notifications.send(user_id=USER, title="once", message_id="n-1")).id == first.id
        assert len(await notifications.list(USER)) == 1

    async def test_many_are_sent_each_for_itself(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        sent = await notifications.send_bulk([{"user_id": f"u{n}", "title": f"n{n}"} for n in range(3)])
        assert [each.user_id for each in await notifications.list()] == ["u2", "u1", "u0"]
        assert len({each.id for each in sent}) == 3
        with pytest.raises(PartlyRefused) as refused:
            await notifications.send_bulk([{"user_id": "u9", "title": "fits"}, {"user_id": "u9"}])
        assert isinstance(refused.value.outcomes[0], Notification)
        assert isinstance(refused.value.outcomes[1], Invalid)
        assert [each.title for each in await notifications.list("u9")] == ["fits"]

    async def test_one_is_read_and_then_all(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        ids = [(await notifications.send(user_id=USER, title=f"n{n}")).id for n in range(3)]
        other = await notifications.send(user_id="user-2", title="theirs")
        await notifications.mark_as_read(ids[0], USER)
        await notifications.mark_as_read(ids[0])
        assert await notifications.unread_count(USER) == 2
        assert [each.id for each in await notifications.list(USER, unread_only=True)] == [ids[2], ids[1]]
        assert (await found(bench, ids[0])).read_at is not None
        await notifications.mark_all_as_read(USER)
        assert await notifications.unread_count(USER) == 0
        assert all(each.read for each in await notifications.list(USER))
        assert not (await found(bench, other.id)).read
        await notifications.send(user_id=USER, title="later")
        assert await notifications.unread_count(USER) == 1

    async def test_another_user_s_item_is_not_there(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        sent = await notifications.send(user_id=USER, title="mine")
        assert await notifications.get(sent.id, "somebody") is None
        for act in (notifications.mark_as_read, notifications.cancel):
            with pytest.raises(NotFound):
                await act(sent.id, "somebody")
        with pytest.raises(NotFound):
            await notifications.snooze(sent.id, "somebody", seconds=5)
        with pytest.raises(NotFound):
            await notifications.mark_as_read("nothing", USER)
        assert not (await found(bench, sent.id)).read

    async def test_another_tenant_s_notification_does_not_exist(self, bench: Bench) -> None:
        sent = await bench.app.notifications.send(user_id=USER, title="ours")
        async with bench.other("somebody-else") as other:
            assert await other.notifications.get(sent.id) is None
            assert await other.notifications.list(USER) == []
            assert await other.notifications.unread_count(USER) == 0
            with pytest.raises(NotFound):
                await other.notifications.mark_as_read(sent.id)

    async def test_lists_are_filtered_and_come_in_pages(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        for n, kind in enumerate(("info", "error", "info", "warning")):
            await notifications.send(user_id=USER, title=f"n{n}", type=kind, category="odd" if n % 2 else None)
        page = await notifications.page(USER, limit=3)
        assert [each.title for each in page.notifications] == ["n3", "n2", "n1"]
        rest = await notifications.page(USER, limit=3, cursor=page.cursor)
        assert ([each.title for each in rest.notifications], rest.cursor) == (["n0"], None)
        assert [each.title async for each in notifications.iterate(USER, limit=1)] == ["n3", "n2", "n1", "n0"]
        assert [each.title for each in await notifications.list(USER, type="info")] == ["n2", "n0"]
        assert [each.title for each in await notifications.list(USER, category="odd")] == ["n3", "n1"]
        with pytest.raises(Invalid, match="cursor"):
            await notifications.page(USER, cursor="elsewhere")

    async def test_a_snoozed_one_comes_back_as_unread(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        sent = await notifications.send(user_id=USER, title="later")
        await notifications.mark_as_read(sent.id)
        await notifications.snooze(sent.id, USER, seconds=2)
        assert (await notifications.list(USER), await notifications.unread_count(USER)) == ([], 0)
        assert [each.id for each in await notifications.list(USER, scope="all")] == [sent.id]
        assert (await found(bench, sent.id)).snoozed_until is not None

        async def unread() -> int:
            return await notifications.unread_count(USER)

        await bench.until(unread, lambda count: count == 1)
        with pytest.raises(Invalid, match="until"):
            await notifications.snooze(sent.id)

    async def test_a_cancelled_one_leaves_the_inbox(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        sent = await notifications.send(user_id=USER, title="never mind")
        await notifications.cancel(sent.id, reason="sent in error")
        await notifications.cancel(sent.id)
        assert (await notifications.list(USER), await notifications.unread_count(USER)) == ([], 0)
        assert (await found(bench, sent.id)).cancelled
        with pytest.raises(Refused, match="does not show"):
            await notifications.snooze(sent.id, seconds=5)
        history = await bench.app.history("notification", sent.id)
        assert [event.eventtype for event in history][-1] == "notification.cancelled"

    async def test_why_a_channel_was_not_used_is_an_event(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        await notifications.set_preferences(
            USER, NotificationPreferences(channels=("in-app", "email"), categories={"marketing": False})
        )
        sent = await notifications.send(user_id=USER, title="t", channels=["in-app", "email", "sms"])
        assert await reasons(bench, sent.id) == {
            "in-app": ("delivered", None),
            "email": ("suppressed", "no-address"),
            "sms": ("suppressed", "channel-off"),
        }
        unwanted = await notifications.send(user_id=USER, title="buy", category="marketing")
        assert {each.reason for each in unwanted.deliveries} == {"category-off"}
        assert all("marketing" in (each.detail or "") for each in unwanted.deliveries)
        assert set((await reasons(bench, unwanted.id)).values()) == {("suppressed", "category-off")}
        assert [each.id for each in await notifications.list(USER)] == [sent.id]
        [*_, told] = await bench.app.why(unwanted.id)
        assert told.eventtype == "notification.suppressed"
        assert told.data["reason"] == "category-off"
        assert "marketing" in told.data["detail"]
        critical = await notifications.send(user_id=USER, title="fire", category="marketing", critical=True)
        assert (await reasons(bench, critical.id))["in-app"] == ("delivered", None)

    async def test_what_was_sent_is_sent_once_more_under_the_same_name(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        sent = await notifications.send(user_id=USER, title="t", channels=["email"], recipient="one@example.org")

        async def times_sent() -> int:
            history = await bench.app.history("notification", sent.id)
            return [event.eventtype for event in history].count("notification.sent")

        async def step() -> Any:
            (step,) = (await found(bench, sent.id)).deliveries
            return step

        await bench.until(times_sent, lambda times: times == 1)
        first = await bench.until(step, lambda step: step.status == "sent")
        since = first.updated_at
        assert await notifications.resend_since("email", since, user_id=USER, dry_run=True) == 1
        assert await times_sent() == 1
        assert await notifications.resend_since("email", since, user_id=USER) == 1
        await bench.until(times_sent, lambda times: times == 2)
        again = await bench.until(step, lambda step: step.status == "sent")
        assert again.delivery_id == first.delivery_id
        later = again.updated_at + timedelta(seconds=1)
        assert await notifications.resend_since("email", later, user_id=USER) == 0
        with pytest.raises(Refused, match="push"):
            await notifications.resend(sent.id, "push")

    async def test_the_matrix_goes_before_the_seed_s_form_and_the_user_before_the_tenant(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        await notifications.set_preferences("*", categories={"news": False}, matrix={"billing": {"in-app": False}})
        assert (await notifications.send(user_id=USER, title="t", category="news")).deliveries[0].status == "suppressed"
        sent = await notifications.send(user_id=USER, title="t", category="billing")
        assert await reasons(bench, sent.id) == {"in-app": ("suppressed", "category-off")}
        await notifications.set_preferences(USER, matrix={"billing": {"in-app": True}}, categories={"news": True})
        for category in ("news", "billing"):
            sent = await notifications.send(user_id=USER, title="t", category=category)
            assert await reasons(bench, sent.id) == {"in-app": ("delivered", None)}
        shown = await notifications.get_preferences(USER)
        assert (shown.matrix, shown.categories, shown.channels) == ({"billing": {"in-app": True}}, {"news": True}, None)
        assert (await notifications.get_preferences("nobody")).matrix == {}

    async def test_quiet_hours_defer_all_but_the_inbox(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        now = bench.now()
        quiet = QuietHours(
            start=f"{now - timedelta(hours=1):%H:%M}", end=f"{now + timedelta(hours=2):%H:%M}", timezone="UTC"
        )
        await notifications.set_preferences(USER, NotificationPreferences(quiet_hours=quiet))
        await notifications.set_contact(USER, "email", "one@example.org")
        sent = await notifications.send(user_id=USER, title="t", channels=["in-app", "email"])
        assert await reasons(bench, sent.id) == {"in-app": ("delivered", None), "email": ("deferred", "quiet-hours")}
        [email] = [each for each in (await found(bench, sent.id)).deliveries if each.channel == "email"]
        assert email.due_at is not None
        told = {each.channel: (each.status, each.reason, each.due_at) for each in sent.deliveries}
        assert told == {"in-app": ("delivered", None, None), "email": ("deferred", "quiet-hours", email.due_at)}
        assert timedelta(hours=1) < email.due_at - now <= timedelta(hours=2)
        await notifications.cancel(sent.id)
        assert (await reasons(bench, sent.id))["email"] == ("suppressed", "cancelled")

    async def test_what_was_read_before_its_time_is_not_sent_to_the_user_any_more(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        first, second = [
            await notifications.send(
                user_id=USER, title=title, channels=["in-app", "email"], recipient="one@example.org",
                digest={"key": "k", "window": 3},
            )
            for title in ("first", "second")
        ]  # fmt: skip
        await notifications.mark_as_read(first.id)

        async def ends() -> list[tuple[str, str | None]]:
            return [(await reasons(bench, each.id))["email"] for each in (first, second)]

        await bench.until(ends, lambda found: found == [("suppressed", "read"), ("sent", None)])

    async def test_an_address_that_nothing_can_ever_be_sent_to_is_refused(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        for channel, address in (
            ("email", "not an address"),
            ("email", "One <one@example.org>"),
            ("webhook", "ftp://example.org/hook"),
            ("webhook", "example.org/hook"),
            ("webhook", "https://"),
            ("webhook", "https://[::1/hook"),
            ("webhook", "https://example.org/a hook"),
        ):
            with pytest.raises(Invalid, match=channel):
                await notifications.set_contact(USER, channel, address)
        assert (await notifications.get_contacts(USER)).contacts == {}
        given = {
            "email": "ünï@exämple.org",
            "webhook": "HTTP://example.org:9000/hook",
            "push": "any token",
            "sms": "+1 2",
        }
        await notifications.set_contacts(USER, given)
        found = (await notifications.get_contacts(USER)).contacts
        assert {channel: contact.address for channel, contact in found.items()} == given

    async def test_contact_points_change_one_by_one(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        await notifications.set_contact(USER, "email", "one@example.org", verified=True)
        await notifications.set_contacts(USER, {"sms": "+41790000000"}, locale="de-CH", timezone="Europe/Zurich")
        shown = await notifications.get_contacts(USER)
        assert (shown.locale, shown.timezone, sorted(shown.contacts)) == ("de-CH", "Europe/Zurich", ["email", "sms"])
        assert (shown.contacts["email"].address, shown.contacts["email"].verified) == ("one@example.org", True)
        await notifications.set_contact(USER, "email", None)
        assert list((await notifications.get_contacts(USER)).contacts) == ["sms"]
        with pytest.raises(Invalid, match="IANA"):
            await notifications.set_contacts(USER, timezone="Mars/Olympus")

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"title": "t"}, "user_id"),
            ({"user_id": USER}, "title"),
            ({"user_id": "*", "title": "t"}, "nobody"),
            ({"user_id": USER, "title": "t", "type": "loud"}, "type"),
            ({"user_id": USER, "title": "t", "channels": ["Pigeon Post"]}, "channels"),
            ({"user_id": USER, "title": "t", "action_url": "javascript:alert(1)"}, "link"),
            ({"user_id": USER, "title": "t", "metadata": {"x": "y" * 70_000}}, "65536"),
            ({"user_id": USER, "title": "t", "colour": "red"}, "colour"),
        ],
    )
    async def test_what_does_not_fit_is_refused(self, bench: Bench, given: dict[str, Any], message: str) -> None:
        with pytest.raises(Invalid, match=message):
            await bench.app.notifications.send(given)

    async def test_a_subscriber_gets_what_was_missed_in_order_and_what_comes(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        before = await head(bench.app)
        for n in range(3):
            await notifications.send(user_id=USER, title=f"missed {n}")
            await notifications.send(user_id="user-2", title="theirs")
        seen: list[str] = []
        enough = asyncio.Event()

        async def told(notification: Notification) -> None:
            seen.append(notification.title)
            if notification.title in ("live", "live again"):
                enough.set()

        unsubscribe = await notifications.subscribe(USER, told, after=before)
        await notifications.send(user_id=USER, title="only by mail", channels=["email"])
        await notifications.send(user_id=USER, title="live")
        async with asyncio.timeout(60):
            await enough.wait()
        assert seen == ["missed 0", "missed 1", "missed 2", "live"]
        place = unsubscribe.position
        unsubscribe()
        await unsubscribe.ended()
        await notifications.send(user_id=USER, title="while away")
        seen.clear()
        enough.clear()
        again = await notifications.subscribe(USER, told, after=place)
        await notifications.send(user_id=USER, title="live again")
        async with asyncio.timeout(60):
            await enough.wait()
        again()
        # The last one before may not have been passed when the place was read.
        assert [title for title in seen if title != "live"] == ["while away", "live again"]
