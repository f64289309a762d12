"""Which integration test uses which route and message of the log, of events and of subscriptions."""

from __future__ import annotations

OPERATIONS = "tests/integration/operations/test_log.py"
HTTP_EVENTS = f"{OPERATIONS}::test_events_and_subscriptions_over_http"
ARCHIVE = "tests/integration/test_archive.py::test_the_log_tells_who_comes_too_late_and_begins_where_it_is_whole"
AMQP_SUBSCRIPTIONS = f"{OPERATIONS}::test_subscriptions_and_events_over_amqp"
AMQP_LOG = f"{OPERATIONS}::test_the_log_over_amqp"

# The same operations exist under `/api/v1`, as `v1_<operation>`; the tests run on both.
ROUTES: dict[str, str] = {
    "publish_event": HTTP_EVENTS,
    "follow_events": HTTP_EVENTS,
    "list_subscriptions": HTTP_EVENTS,
    "create_subscription": HTTP_EVENTS,
    "get_subscription": HTTP_EVENTS,
    "activate_subscription": HTTP_EVENTS,
    "acknowledge_subscription": HTTP_EVENTS,
    "park_subscription": HTTP_EVENTS,
    "release_subscription": HTTP_EVENTS,
}

MESSAGES: dict[str, str] = {
    "archive.streams_archived.event": ARCHIVE,
    "event.publish": AMQP_SUBSCRIPTIONS,
    "subscription.create": AMQP_SUBSCRIPTIONS,
    "subscription.acknowledge": AMQP_SUBSCRIPTIONS,
    "subscription.park": AMQP_SUBSCRIPTIONS,
    "subscription.release": AMQP_SUBSCRIPTIONS,
    "subscription.set_active": AMQP_SUBSCRIPTIONS,
    "subscription.lease": AMQP_SUBSCRIPTIONS,
    "subscription.get": AMQP_SUBSCRIPTIONS,
    "subscription.list": AMQP_SUBSCRIPTIONS,
    "log.read": AMQP_SUBSCRIPTIONS,
    "log.history": AMQP_LOG,
    "log.state": AMQP_LOG,
    "log.why": AMQP_LOG,
    "subscription.created.event": AMQP_SUBSCRIPTIONS,
    "subscription.changed.event": AMQP_SUBSCRIPTIONS,
    "subscription.advanced.event": AMQP_SUBSCRIPTIONS,
    "subscription.parked.event": AMQP_SUBSCRIPTIONS,
    "subscription.released.event": AMQP_SUBSCRIPTIONS,
    "subscription.activated.event": AMQP_SUBSCRIPTIONS,
    "subscription.paused.event": AMQP_SUBSCRIPTIONS,
}
