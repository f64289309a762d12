"""Notifications on their way out: each channel is tried, given up, held back or summed up on its own, and says so."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import httpx
import pytest

from adapters.postgres.expired_notifications import PostgresExpiredNotifications
from domain.channels import Delivery, NotConfigured, Outcome, Rejected, Sent, Unavailable
from handlers.notification_retention import NotificationRetention
from infra.bootstrap import build
from infra.maintenance import rebuild_read_model
from tests.support.channels import Recorder
from tests.support.eventually import eventually
from tests.support.notifications import ADDRESS, DEADLINE, ended, mail, quick, sending
from tests.support.service import running_service


async def test_a_delivery_carries_all_that_a_channel_needs_and_is_tracked(database_url: str) -> None:
    email = Recorder("email")
    async with sending(database_url, [email]) as (app, _):
        await app.notifications.set_contacts("u", {"email": ADDRESS}, locale="de-CH")
        sent = await app.notifications.send(
            user_id="u", title="Done", message="text", type="success", channels=["in-app", "email"],
            action_url="/x", action_label="Look", category="c", metadata={"n": 1},
        )  # fmt: skip
        assert await ended(app, sent.id) == ("sent", None, 1)
        [given] = email.taken
        assert given == Delivery(
            app.settings.tenant, sent.id, given.delivery_id, "u", "email", ADDRESS, "de-CH", "success", "Done", "text",
            None, "/x", "Look", "c", {"n": 1}, 1,
        )  # fmt: skip
        history = await app.history("notification", sent.id)
        assert [event.eventtype.partition(".")[2] for event in history] == ["created", "delivered", "queued", "sent"]
        assert (history[3].data["provider"], history[3].data["provider_message_id"]) == ("test-email", "m-1")
        assert {event.correlationid for event in history} == {history[0].correlationid}


async def test_what_fails_is_tried_again_under_the_same_id_until_it_is_sent(database_url: str) -> None:
    email = Recorder("email", [Unavailable("smtp", "greylisted", 0.0), ConnectionResetError("secret://u:p@host")])
    async with sending(database_url, [email]) as (app, _):
        notification_id = await mail(app)
        assert await ended(app, notification_id) == ("sent", None, 3)
        assert [each.attempt for each in email.taken] == [1, 2, 3]
        assert len({each.delivery_id for each in email.taken}) == 1
        failures = [
            event.data["reason"]
            for event in await app.history("notification", notification_id)
            if event.eventtype == "notification.attempt_failed"
        ]
        assert failures == ["greylisted", "the channel raised ConnectionResetError"]


@pytest.mark.parametrize(
    ("outcomes", "wanted"),
    [
        ([Rejected("smtp", "no such mailbox")], ("failed", "rejected", 1)),
        ([Unavailable("smtp", "busy", 0.0)] * 3, ("failed", "attempts-exhausted", 3)),
        ([NotConfigured("no key was given")], ("suppressed", "not-configured", 0)),
        ([Unavailable("smtp", "odd \x00 \ud800 text", 0.0)], ("sent", None, 2)),
    ],
)
async def test_every_end_has_its_word(
    database_url: str, outcomes: list[Outcome], wanted: tuple[str, str | None, int]
) -> None:
    email = Recorder("email", outcomes)
    async with sending(database_url, [email], quick(max_attempts=3)) as (app, _):
        assert await ended(app, await mail(app)) == wanted
        assert len(email.taken) == max(1, wanted[2])


async def test_a_channel_without_a_provider_is_not_a_failure(database_url: str) -> None:
    async with sending(database_url, []) as (app, _):
        sent = await app.notifications.send(user_id="u", title="t", channels=["sms", "pigeon"], recipient=ADDRESS)
        assert await ended(app, sent.id, "sms") == ("suppressed", "not-configured", 0)
        assert await ended(app, sent.id, "pigeon") == ("suppressed", "not-configured", 0)
        told = [event.data for event in await app.why(sent.id) if event.eventtype == "notification.suppressed"]
        assert {each["reason"] for each in told} == {"not-configured"}


async def test_one_channel_that_hangs_keeps_no_other_from_sending(database_url: str) -> None:
    class Hanging:
        name = "sms"

        async def send(self, delivery: Delivery) -> Outcome:
            await asyncio.Event().wait()
            return Sent("never")

    email = Recorder("email")
    async with sending(database_url, [Hanging(), email], quick(timeout=0.3, max_attempts=2, concurrency=2)) as (app, _):
        hung = [
            (await app.notifications.send(user_id="u", title="t", channels=["sms"], recipient="+1")).id
            for _ in range(4)
        ]
        mailed = [await mail(app) for _ in range(10)]
        for notification_id in mailed:
            assert (await ended(app, notification_id))[0] == "sent"
        for notification_id in hung:
            assert await ended(app, notification_id, "sms") == ("failed", "attempts-exhausted", 2)


async def test_wherever_a_user_is_named_it_must_be_the_one_who_was_told(database_url: str) -> None:
    async with (
        running_service(database_url, settings=quick()) as service,
        httpx.AsyncClient(
            base_url=service.http, headers={"X-Tenant-Id": f"t{uuid4().hex[:12]}"}, trust_env=False, timeout=DEADLINE
        ) as http,
    ):
        sent = await http.post("/api/notifications", json={"user_id": "kim", "title": "x"})
        read = f"/api/notifications/{sent.json()['notification_id']}/read"
        assert (await http.post(read, json={"user_id": "lee"})).status_code == 404
        assert (await http.post(read, params={"user_id": "lee"}, json={"user_id": "kim"})).status_code == 404
        assert (await http.post(read, json={"user": "kim"})).status_code == 422
        assert (await http.post(read, json={"user_id": "kim"})).status_code == 200


async def test_two_services_send_everything_once(fresh_database_url: str) -> None:
    email = Recorder("email")
    async with sending(fresh_database_url, [email]) as (app, _):
        second = await build(quick(), fresh_database_url, channels=[email])
        second.start()
        try:
            sent = await app.notifications.send_bulk(
                {"user_id": f"u{n}", "title": "t", "channels": ["email"], "recipient": ADDRESS} for n in range(60)
            )
            for each in sent:
                assert await ended(app, each.id) == ("sent", None, 1)
        finally:
            await second.stop()
        assert sorted(each.notification_id for each in email.taken) == sorted(each.id for each in sent)


async def test_a_rebuild_of_the_inboxes_equals_the_live_ones(fresh_database_url: str) -> None:
    email = Recorder("email", [Rejected("smtp", "no"), Unavailable("smtp", "busy", 0.0)])
    async with sending(fresh_database_url, [email]) as (app, _):
        notifications = app.notifications
        await notifications.set_contacts("u", {"email": ADDRESS}, locale="de")
        await notifications.set_preferences("u", categories={"news": False})
        for name, locale in (("a", None), ("a", "de"), ("b", None)):
            await notifications.templates.save(name, title="T", locale=locale)
        await notifications.templates.remove("b")
        ids = [
            (await notifications.send(user_id="u", title=f"n{n}", channels=["in-app", "email"], category=category)).id
            for n, category in enumerate((None, "news", "ops", None, None, None))
        ]
        await notifications.mark_as_read(ids[0])
        await notifications.snooze(ids[2], seconds=0.2)
        await notifications.mark_all_as_read("u")
        await notifications.snooze(ids[3], seconds=3_600)
        await notifications.cancel(ids[4])
        held = [await mail(app, f"h{n}", digest={"key": "k", "window": 0.5}) for n in range(2)]
        for notification_id in (*ids, *held):
            await ended(app, notification_id)
        await eventually(lambda: notifications.unread_count("u"), lambda count: count == 1, DEADLINE)
        rebuilt = await rebuild_read_model(fresh_database_url, "notifications", lambda done, total: None, True)
        assert rebuilt.equal
        assert await notifications.unread_count("u") == 1
        assert len(await notifications.list("u", scope="all")) == len(ids) + len(held) + 1


async def test_what_was_never_read_goes_after_its_own_time_but_not_what_is_still_to_be_sent(
    fresh_database_url: str,
) -> None:
    async with sending(fresh_database_url, [Recorder("email")]) as (app, system):
        old = (await app.notifications.send(user_id="u", title="old")).id
        snoozed = (await app.notifications.send(user_id="u", title="later")).id
        await app.notifications.snooze(snoozed, "u", seconds=3_600)
        waiting = await mail(app, "digest", channels=["in-app", "email"], digest={"key": "d", "window": 3_600})
        await eventually(lambda: app.notifications.get(waiting), lambda found: found is not None, DEADLINE)
        retention = NotificationRetention(
            PostgresExpiredNotifications(system.storage.pool), system.pipeline, read=3_600, unread=0.0
        )
        await eventually(retention.sweep, lambda removed: removed == 1, DEADLINE)
        assert await app.notifications.get(old) is None
        assert await retention.sweep() == 0
        assert await app.notifications.get(snoozed) is not None
        assert await app.notifications.get(waiting) is not None
