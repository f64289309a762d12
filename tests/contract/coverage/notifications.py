"""Which integration test uses which route and message of notifications and templates."""

from __future__ import annotations

OPERATIONS = "tests/integration/operations/test_notifications.py"
HTTP_NOTIFICATIONS = f"{OPERATIONS}::test_notifications_over_http"
CALLBACKS = "tests/integration/channels/test_callbacks.py::test_what_a_provider_tells_later_becomes_an_event"
HTTP_TEMPLATES = f"{OPERATIONS}::test_templates_over_http"
AMQP_NOTIFICATIONS = f"{OPERATIONS}::test_notifications_over_amqp"
AMQP_TEMPLATES = f"{OPERATIONS}::test_templates_over_amqp"

# The same operations exist under `/api/v1`, as `v1_<operation>`; the tests run on both.
ROUTES: dict[str, str] = {
    "send_notification": HTTP_NOTIFICATIONS,
    "send_notifications": HTTP_NOTIFICATIONS,
    "list_notifications": HTTP_NOTIFICATIONS,
    "count_unread_notifications": HTTP_NOTIFICATIONS,
    "read_all_notifications": HTTP_NOTIFICATIONS,
    "get_preferences": HTTP_NOTIFICATIONS,
    "set_preferences": HTTP_NOTIFICATIONS,
    "get_contacts": HTTP_NOTIFICATIONS,
    "set_contacts": HTTP_NOTIFICATIONS,
    "get_notification": HTTP_NOTIFICATIONS,
    "read_notification": HTTP_NOTIFICATIONS,
    "snooze_notification": HTTP_NOTIFICATIONS,
    "acknowledge_notification": HTTP_NOTIFICATIONS,
    "take_provider_callback": CALLBACKS,
    "resend_notifications": HTTP_NOTIFICATIONS,
    "cancel_notification": HTTP_NOTIFICATIONS,
    "list_templates": HTTP_TEMPLATES,
    "get_template": HTTP_TEMPLATES,
    "save_template": HTTP_TEMPLATES,
    "delete_template": HTTP_TEMPLATES,
    "preview_template": HTTP_TEMPLATES,
}

MESSAGES: dict[str, str] = {
    "notification.send": AMQP_NOTIFICATIONS,
    "notification.mark_read": AMQP_NOTIFICATIONS,
    "notification.mark_all_read": AMQP_NOTIFICATIONS,
    "notification.cancel": AMQP_NOTIFICATIONS,
    "notification.snooze": AMQP_NOTIFICATIONS,
    "notification.receipt": AMQP_NOTIFICATIONS,
    "notification.report": AMQP_NOTIFICATIONS,
    "notification.handed_over.event": AMQP_NOTIFICATIONS,
    "notification.resend": AMQP_NOTIFICATIONS,
    "notification.resend_since": AMQP_NOTIFICATIONS,
    "notification.set_preferences": AMQP_NOTIFICATIONS,
    "notification.set_contacts": AMQP_NOTIFICATIONS,
    "notification.get": AMQP_NOTIFICATIONS,
    "notification.list": AMQP_NOTIFICATIONS,
    "notification.unread_count": AMQP_NOTIFICATIONS,
    "notification.preferences": AMQP_NOTIFICATIONS,
    "notification.contacts": AMQP_NOTIFICATIONS,
    "notification.created.event": AMQP_NOTIFICATIONS,
    "notification.queued.event": AMQP_NOTIFICATIONS,
    "notification.deferred.event": AMQP_NOTIFICATIONS,
    "notification.suppressed.event": AMQP_NOTIFICATIONS,
    "notification.sent.event": AMQP_NOTIFICATIONS,
    "notification.delivered.event": AMQP_NOTIFICATIONS,
    "notification.attempt_failed.event": AMQP_NOTIFICATIONS,
    "notification.failed.event": AMQP_NOTIFICATIONS,
    "notification.read.event": AMQP_NOTIFICATIONS,
    "notification.cancelled.event": AMQP_NOTIFICATIONS,
    "notification.snoozed.event": AMQP_NOTIFICATIONS,
    "notification.woken.event": AMQP_NOTIFICATIONS,
    "notification.removed.event": AMQP_NOTIFICATIONS,
    "notification.preferences_set.event": AMQP_NOTIFICATIONS,
    "notification.contacts_set.event": AMQP_NOTIFICATIONS,
    "notification.all_read.event": AMQP_NOTIFICATIONS,
    "template.save": AMQP_TEMPLATES,
    "template.remove": AMQP_TEMPLATES,
    "template.get": AMQP_TEMPLATES,
    "template.list": AMQP_TEMPLATES,
    "template.preview": AMQP_TEMPLATES,
    "template.saved.event": AMQP_TEMPLATES,
    "template.removed.event": AMQP_TEMPLATES,
}
