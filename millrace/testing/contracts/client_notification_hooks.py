"""What an application adds to notifications: hooks, plug-ins, and channels of its own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from millrace import NonRetryable, Notification, NotificationPlugin, PluginUnusable, RetryAfter
from millrace.notification_channels import OutgoingNotification
from millrace.testing.contracts.bench import Bench, working
from millrace.testing.contracts.client_notifications import reasons

USER = "user-1"


class NotificationHooksContract:
    async def test_a_plug_in_is_told_what_was_sent_delivered_and_read(self, bench: Bench) -> None:
        told: list[tuple[str, str]] = []
        over = asyncio.Event()

        class Audit(NotificationPlugin):
            name = "audit"

            async def on_send(self, notification: Notification) -> None:
                told.append(("send", notification.title))

            def on_notification_deliver(self, notification: Notification) -> None:
                told.append(("deliver", notification.deliveries[0].channel))

            async def on_read(self, notification: Notification) -> None:
                told.append(("read", notification.user_id))
                over.set()

        bench.app.notifications.register_plugin(Audit())
        await bench.app.subscriptions.create("notifications:audit", "notification.*")
        sent = await bench.app.notifications.send(user_id=USER, title="t")
        await bench.app.notifications.mark_as_read(sent.id)
        await bench.deliver(over)
        assert told == [("send", "t"), ("deliver", "in-app"), ("read", USER)]

    async def test_a_plug_in_is_told_of_a_mail_when_it_is_sent_and_again_when_it_has_arrived(
        self, bench: Bench
    ) -> None:
        told: list[str] = []
        over = asyncio.Event()
        notifications = bench.app.notifications

        class Arrivals(NotificationPlugin):
            name = "arrivals"

            def on_deliver(self, notification: Notification) -> None:
                told.append(notification.deliveries[0].status.value)
                if len(told) == 2:
                    over.set()

        notifications.register_plugin(Arrivals())
        await bench.app.subscriptions.create("notifications:arrivals", "notification.*")
        sent = await notifications.send(user_id=USER, title="t", channels=["email"], recipient="one@example.org")

        async def status() -> str | None:
            found = await notifications.get(sent.id)
            return None if found is None else found.deliveries[0].status.value

        await bench.until(status, lambda status: status == "sent")
        receipt = {"notification_id": sent.id, "channel": "email", "status": "delivered"}
        await bench.app.execute("notification.receipt", receipt)
        await bench.deliver(over)
        assert told == ["sent", "delivered"]

    async def test_reading_the_whole_inbox_is_told_of_each_notification(self, bench: Bench) -> None:
        read: list[str] = []
        over = asyncio.Event()
        notifications = bench.app.notifications

        @notifications.on_read
        async def seen(notification: Notification) -> None:
            read.append(notification.title)
            if len(read) == 3:
                over.set()

        [name] = bench.app.registry.subscriptions
        await bench.app.subscriptions.create(name, "notification.*")
        sent = [await notifications.send(user_id=USER, title=title) for title in ("one", "two", "three")]
        others = await notifications.send(user_id="somebody else", title="theirs")
        hidden = await notifications.send(user_id=USER, title="later")
        await notifications.snooze(hidden.id, seconds=3_600)
        await notifications.mark_as_read(sent[0].id, USER)
        await notifications.mark_all_as_read(USER)
        assert await notifications.unread_count(USER) == 0
        await bench.deliver(over)
        assert sorted(read) == ["one", "three", "two"]

        async def histories() -> list[int]:
            told = [await bench.app.history("notification", each.id) for each in (*sent, others, hidden)]
            return [sum(event.eventtype == "notification.read" for event in events) for events in told]

        await bench.until(histories, lambda found: found == [1, 1, 1, 0, 0])
        assert await notifications.unread_count("somebody else") == 1

    async def test_a_failing_hook_is_counted_and_breaks_nothing(self, bench: Bench) -> None:
        failed, over = asyncio.Event(), asyncio.Event()
        notifications = bench.app.notifications

        @notifications.on_send
        async def broken(notification: Notification) -> None:
            failed.set()
            raise RuntimeError("no")

        @notifications.on_read
        async def seen(notification: Notification) -> None:
            over.set()

        for name in list(bench.app.registry.subscriptions):
            await bench.app.subscriptions.create(name, "notification.*")
        sent = await notifications.send(user_id=USER, title="t")
        await notifications.mark_as_read(sent.id)
        await bench.deliver(over)
        await bench.deliver(failed)

        async def failures() -> int:
            return sum(notifications.plugin_failures.values())

        await bench.until(failures, lambda count: count >= 1)

    async def test_a_plug_in_without_hooks_is_refused(self, bench: Bench) -> None:
        with pytest.raises(PluginUnusable, match="none of the hooks"):
            bench.app.notifications.register_plugin(NotificationPlugin())

    async def test_an_application_s_own_channel_sends_and_reports(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        given: list[OutgoingNotification] = []
        over = asyncio.Event()

        async def send(outgoing: OutgoingNotification) -> str:
            given.append(outgoing)
            if outgoing.attempt == 1 and outgoing.notification.title == "again":
                raise RetryAfter(0.1)
            if outgoing.notification.title == "never":
                over.set()
                raise NonRetryable("no such loft")
            return "feather"

        notifications.register_channel("pigeon", send)
        with pytest.raises(ValueError, match="itself"):
            notifications.register_channel("in-app", send)
        async with AsyncExitStack() as stack:
            if not bench.capabilities.virtual_clock:
                await stack.enter_async_context(working(bench.app))
            await bench.until(lambda: bench.app.subscriptions.list(), lambda found: len(found) == 1)
            await notifications.set_contact(USER, "pigeon", "loft 3")
            sent = await notifications.send(user_id=USER, title="once", channels=["pigeon"])
            again = await notifications.send(user_id=USER, title="again", channels=["pigeon"])
            never = await notifications.send(user_id=USER, title="never", channels=["pigeon"])
            if bench.capabilities.virtual_clock:
                await bench.deliver(over, 30)

            async def ends() -> list[tuple[str, str | None]]:
                return [(await reasons(bench, each.id))["pigeon"] for each in (sent, again, never)]

            await bench.until(ends, lambda found: found == [("sent", None), ("sent", None), ("failed", "rejected")])
        assert {(each.channel, each.address) for each in given} == {("pigeon", "loft 3")}
        assert [each.attempt for each in given if each.notification.title == "again"] == [1, 2]
        unknown = await notifications.send(user_id=USER, title="t", channels=["dove"])
        await bench.until(lambda: reasons(bench, unknown.id), lambda it: it["dove"][1] == "not-configured")
