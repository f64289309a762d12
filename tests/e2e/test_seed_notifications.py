"""What Millrace was asked for by name in progress and notifications: classes, fields, methods and constructions."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

import millrace
import millrace.testing
from millrace import (
    Millrace,
    NonRetryable,
    Notification,
    NotificationChannel,
    NotificationService,
    NotificationType,
    OutgoingNotification,
    ProgressStatus,
    RetryAfter,
    SendGridProvider,
)
from millrace.contracts.notification import ChannelDelivery
from millrace.testing import MillraceTest
from millrace.testing.contracts.bench import working
from tests.support.eventually import eventually
from tests.support.running import running
from tests.support.vendors.mail_vendors import SendGridServer
from tests.support.vendors.vendor import serving

FIELDS = {
    "Progress": "id status progress stage stages error metadata created_at updated_at completed_at",
    "ProgressStage": "name status progress started_at completed_at",
    "ProgressOptions": "id stages metadata user_id",
    "Notification": ("id type title message timestamp read user_id category action_url action_label metadata channels"),
    "NotificationPreferences": "channels categories quiet_hours",
}
METHODS = {
    "ProgressTracker": (
        "create(options) update(id,progress,stage) complete(id,result) fail(id,error) get(id) subscribe(id,callback) "
        "advance_stage() register_plugin(plugin)"
    ),
    "NotificationService": (
        "send(notification) send_bulk(notifications) mark_as_read(notification_id,user_id) "
        "get_user_notifications(user_id,unread_only,limit) subscribe(user_id,callback) "
        "set_preferences(user_id,preferences) send_notification(channel,recipient,template,context)"
    ),
    "ProgressPlugin": "on_update(progress) on_complete(progress) on_fail(progress) on_stage_change(progress)",
    "NotificationPlugin": "on_send(notification) on_deliver(notification) on_read(notification)",
    "ProgressEmitter": "emit(event,data)",
    "SendGridProvider": "send(outgoing)",
}


@pytest.mark.parametrize(("name", "fields"), FIELDS.items())
def test_a_type_has_the_fields(name: str, fields: str) -> None:
    assert set(fields.split()) <= set(getattr(millrace, name).model_fields)


@pytest.mark.parametrize(("name", "methods"), METHODS.items())
def test_a_class_has_the_methods_with_their_parameters(name: str, methods: str) -> None:
    for method in methods.split():
        called, _, parameters = method.rstrip(")").partition("(")
        signature = inspect.signature(getattr(getattr(millrace, name), called))
        assert set(filter(None, parameters.split(","))) <= set(signature.parameters), called


@pytest.mark.parametrize("name", ["ProgressStorage", "PostgreSQLProgressStorage"])
def test_a_storage_exists(name: str) -> None:
    assert getattr(millrace, name)("http://localhost:8000").url == "http://localhost:8000"


def test_the_values_are_those_that_were_asked_for() -> None:
    assert {"pending", "processing", "completed", "failed"} <= {each.value for each in ProgressStatus}
    assert [each.value for each in NotificationType] == ["info", "success", "warning", "error"]
    named = {name.replace("_", "-") for name in ("email", "sms", "push", "in_app", "webhook")}
    assert named == {channel.value for channel in NotificationService.CHANNELS}
    assert {"MockProgressStorage", "TestDatabase"} <= set(millrace.testing.__all__)


async def test_a_service_with_a_database_and_a_mail_provider() -> None:
    session, user_id, file_id = MillraceTest(), "kim", "7"

    notifications = NotificationService(
        db=session, email_provider=SendGridProvider(api_key="...", from_address="noreply@example.com")
    )
    await notifications.set_contact(user_id, "email", "kim@example.org")
    await notifications.send(
        type="success",
        title="Processing Complete",
        message="Your file has been processed",
        user_id=user_id,
        channels=[NotificationChannel.IN_APP, NotificationChannel.EMAIL],
        action_url=f"/files/{file_id}",
        action_label="View Result",
    )
    assert [each.title for each in await notifications.get_user_notifications(user_id)] == ["Processing Complete"]
    assert [each["address"] for each in session.outbox] == ["kim@example.org"]


async def test_a_mail_goes_through_the_application_s_provider_where_the_service_has_none(
    fresh_database_url: str,
) -> None:
    async with serving(SendGridServer()) as vendor, running(fresh_database_url) as service:
        app = Millrace(service.url)
        provider = SendGridProvider(vendor.key, "noreply@example.com", base_url=vendor.url)
        notifications = NotificationService(db=app, email_provider=provider)

        async def sent(recipient: str) -> ChannelDelivery:
            id = (
                await notifications.send(
                    title="Processing Complete", user_id="kim", channels=["email"], recipient=recipient
                )
            ).id

            async def delivery() -> ChannelDelivery:
                found = await notifications.get(id)
                assert found is not None
                return found.deliveries[0]

            return await eventually(delivery, lambda it: it.status in ("sent", "failed", "suppressed"), seconds=60)

        before = await sent("kim@example.com")
        assert (before.status, before.reason) == ("suppressed", "not-configured")
        async with app, working(app):
            await eventually(app.subscriptions.list, lambda found: len(found) == 1, seconds=30)
            after = await sent("kim@example.com")
            refused = await sent("nobody@invalid.example")
        assert (after.status, after.provider_message_id) == ("sent", vendor.taken[0].told)
        assert [each.to for each in vendor.taken] == ["kim@example.com"]
        assert (refused.status, refused.reason) == ("failed", "rejected")


async def test_a_provider_tells_what_may_be_tried_again_and_what_not() -> None:
    async with serving(SendGridServer()) as vendor:
        provider = SendGridProvider(vendor.key, "noreply@example.com", base_url=vendor.url)
        notification = Notification(title="Processing\nComplete", action_url="/files/7", user_id="kim", id="n-1")
        outgoing = OutgoingNotification(notification, "email", "kim@example.com", "d-1", 1, "<p>Done</p>")
        told = [await provider.send(outgoing) for _ in range(2)]
        assert told == [each.told for each in vendor.taken]
        assert len({each.id for each in vendor.taken}) == 1
        with pytest.raises(NonRetryable, match="400"):
            await provider.send(dataclasses.replace(outgoing, address="nobody@invalid.example"))
        vendor.mode = "overloaded"
        with pytest.raises(RetryAfter, match="429"):
            await provider.send(outgoing)
        vendor.mode = "works"
        unknown = SendGridProvider("wrong", "noreply@example.com", base_url=vendor.url)
        with pytest.raises(RetryAfter, match="401"):
            await unknown.send(outgoing)


def test_what_cannot_be_used_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENDGRID_FROM_ADDRESS", raising=False)
    with pytest.raises(ValueError, match="SENDGRID_FROM_ADDRESS"):
        SendGridProvider(api_key="...")
    monkeypatch.setenv("SENDGRID_FROM_ADDRESS", "noreply@example.com")
    assert SendGridProvider(api_key="...")
    session: Any = object()
    with pytest.raises(TypeError, match="db is a object"):
        NotificationService(db=session)
