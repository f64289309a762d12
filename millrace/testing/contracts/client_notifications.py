"""Notifications: what is sent, and what keeps it from a channel."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from millrace import (
    Invalid,
    Notification,
    NotificationPreferences,
    PartlyRefused,
    QuietHours,
    Refused,
)
from millrace.testing.contracts.bench import Bench

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
