"""The inbox of a user: what it shows, what is read, put off and cancelled, and what somebody missed who was away."""

from __future__ import annotations

import asyncio

import pytest

from millrace import (
    Invalid,
    NotFound,
    Notification,
    NotificationChannel,
    NotificationType,
    Refused,
)
from millrace.testing.contracts.bench import Bench, head
from millrace.testing.contracts.client_notifications import USER, found


class NotificationInboxContract:
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
