"""Notifications that wait: for a digest, for the end of quiet hours, or for nothing because they were too many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from domain.channels import Unavailable
from handlers.notification_steps import Collapse, Settle
from millrace import Notification
from millrace.contracts.wire import Accepted, Context
from tests.support.channels import Recorder
from tests.support.eventually import eventually
from tests.support.notifications import DEADLINE, ended, mail, sending, standing, taken


async def test_several_with_one_key_become_one_digest(database_url: str) -> None:
    email = Recorder("email")
    async with sending(database_url, [email]) as (app, _):
        digest = {"key": "builds", "window": 1.5}
        ids = [await mail(app, f"build {n}", message="passed", digest=digest) for n in range(3)]
        alone = await mail(app, "deploy", digest={"key": "deploys", "window": 0.2})
        for notification_id in ids:
            assert await ended(app, notification_id) == ("suppressed", "digested", 0)
        assert await ended(app, alone) == ("sent", None, 1)
        await eventually(lambda: taken(email), lambda count: count == 2, DEADLINE)
        [summary] = [each for each in email.taken if each.notification_id != alone]
        assert summary.title == "3 notifications"
        assert summary.message.splitlines() == [f"• build {n}: passed" for n in range(3)]
        assert await ended(app, summary.notification_id) == ("sent", None, 1)
        for notification_id in ids:
            member = await app.notifications.get(notification_id)
            assert member is not None
            assert member.deliveries[0].detail == f"it is part of digest {summary.notification_id}"
        shown = await app.notifications.get(summary.notification_id)
        assert shown is not None
        assert shown.digest_of == tuple(ids)
        assert shown.template == {"name": "digest", "version": "built-in", "locale": None}
        assert (await app.notifications.list("u"), await app.notifications.unread_count("u")) == ([], 0)


async def test_a_digest_says_what_the_tenants_template_says_and_names_its_version(database_url: str) -> None:
    email = Recorder("email")
    async with sending(database_url, [email]) as (app, _):
        templates = app.notifications.templates

        async def summed_up(key: str) -> Notification:
            before = len(email.taken)
            for number in range(2):
                await mail(app, f"{key} {number}", message="passed", digest={"key": key, "window": 3.0})
            await eventually(lambda: taken(email), lambda count: count > before, DEADLINE)
            found = await app.notifications.get(email.taken[-1].notification_id)
            assert found is not None
            return found

        text = "{% for each in notifications %}<{{ each.title }}>{% endfor %}"
        await templates.save("digest", title="{{ count }} builds for {{ user_id }}", message=text, html=text)
        own = await summed_up("build")
        assert (own.title, own.message) == ("2 builds for u", "<build 0><build 1>")
        assert email.taken[-1].html == "<build 0><build 1>"
        assert own.template == {"name": "digest", "version": 1, "locale": None}
        await templates.save("digest", title="{{ nothing_of_this_name }}")
        broken = await summed_up("test")
        assert (broken.title, broken.message) == ("2 notifications", "• test 0: passed\n• test 1: passed")
        assert broken.template == {"name": "digest", "version": "built-in", "locale": None}
        assert broken.metadata is not None
        assert "nothing_of_this_name" in broken.metadata["template_problem"]
        await templates.remove("digest")
        assert (await summed_up("deploy")).metadata == {}


async def test_what_quiet_hours_held_back_goes_out_as_one_digest_without_what_is_unwanted_by_then(
    database_url: str,
) -> None:
    email = Recorder("email")
    async with sending(database_url, [email]) as (app, system):
        now = datetime.now(UTC)
        quiet = {"start": f"{(now.hour - 1) % 24:02d}:00", "end": f"{(now.hour + 2) % 24:02d}:00", "timezone": "UTC"}
        await app.notifications.set_preferences("u", quiet_hours=quiet)
        ids = [await mail(app, f"n{n}", category="news" if n == 2 else "ops") for n in range(4)]
        urgent = await mail(app, "fire", critical=True)
        assert await ended(app, urgent) == ("sent", None, 1)
        assert [await standing(app, each) for each in ids] == [("deferred", "quiet-hours")] * 4
        await app.notifications.set_preferences("u", categories={"news": False})
        # The night is over for all of them at the same moment.
        over = datetime.now(UTC) + timedelta(seconds=1)
        for notification_id in ids:
            body = Settle(
                notification_id=notification_id, channel="email", outcome="deferred", reason="quiet-hours",
                until=over,
            )  # fmt: skip
            context = Context(app.settings.tenant, uuid4().hex)
            assert isinstance(await system.pipeline.execute_internal("notification.settle", body, context), Accepted)
        assert await ended(app, ids[2]) == ("suppressed", "category-off", 0)
        ends = [await ended(app, ids[n]) for n in (0, 1, 3)]
        await eventually(lambda: taken(email), lambda count: count >= 2, DEADLINE)
        assert ends == [("suppressed", "digested", 0)] * 3
        [digest] = [each for each in email.taken if each.title != "fire"]
        whole = await app.notifications.get(digest.notification_id)
        assert whole is not None
        assert set(whole.digest_of) == {ids[0], ids[1], ids[3]}


async def test_more_than_the_limit_of_a_key_is_throttled_and_the_inbox_has_all(database_url: str) -> None:
    email = Recorder("email")
    async with sending(database_url, [email]) as (app, _):
        throttle = {"key": "disk", "limit": 2, "per": 600}
        ids = [await mail(app, f"n{n}", throttle=throttle, channels=["in-app", "email"]) for n in range(5)]
        critical = await mail(app, "on fire", throttle=throttle, critical=True)
        ends = [await ended(app, each) for each in ids]
        assert sorted(end[:2] for end in ends) == [("sent", None)] * 2 + [("suppressed", "throttled")] * 3
        assert await ended(app, critical) == ("sent", None, 1)
        assert await app.notifications.unread_count("u") == 5


async def test_an_outage_of_the_provider_lets_no_more_than_the_limit_through(database_url: str) -> None:
    email = Recorder("email", [Unavailable("test-email", "away")] * 5)
    async with sending(database_url, [email]) as (app, _):
        throttle = {"key": "disk", "limit": 2, "per": 600}
        ids = [await mail(app, f"n{n}", throttle=throttle) for n in range(5)]
        ends = [await ended(app, each) for each in ids]
        assert sorted(end[:2] for end in ends) == [("sent", None)] * 2 + [("suppressed", "throttled")] * 3


async def test_what_is_cancelled_before_its_time_is_never_sent(database_url: str) -> None:
    email = Recorder("email")
    async with sending(database_url, [email]) as (app, system):
        held = await mail(app, "held", digest={"key": "k", "window": 1})
        await app.notifications.cancel(held, reason="wrong list")
        assert await ended(app, held) == ("suppressed", "cancelled", 0)
        late = Collapse(
            notification_id=held, tenant=app.settings.tenant, channel="email", members=(held, "other"), shown=()
        )
        answer = await system.pipeline.execute_internal(
            "notification.collapse", late, Context(app.settings.tenant, uuid4().hex)
        )
        assert isinstance(answer, Accepted)
        assert answer.result["digest_id"] is None, "no digest was made, so that the others wait on"
        other = await mail(app, "other", digest={"key": "k", "window": 1.2})
        assert await ended(app, other) == ("sent", None, 1)
        assert [each.title for each in email.taken] == ["other"]
