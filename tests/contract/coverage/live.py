"""Which integration test uses which route and message of the live doors."""

from __future__ import annotations

LIVE = "tests/integration/live/test_live_events.py"
LIVE_PROGRESS = "tests/integration/live/test_live_progress.py"
LIVE_INBOX = "tests/integration/live/test_live_notifications.py"

# The same operations exist under `/api/v1`, as `v1_<operation>`; the tests run on both.
ROUTES: dict[str, str] = {
    "issue_live_ticket": "tests/integration/live/test_live_tickets.py::test_a_ticket_lets_one_connection_in_once",
}

MESSAGES: dict[str, str] = {
    "live.subscribe": f"{LIVE}::test_the_past_and_the_present_join_without_a_gap",
    "live.unsubscribe": f"{LIVE}::test_subscriptions_of_one_connection_are_told_apart",
    "live.presence": f"{LIVE}::test_who_is_there_is_listed_and_told",
    "live.ping": f"{LIVE}::test_a_position_of_another_log_is_told",
    "live.told": f"{LIVE}::test_the_past_and_the_present_join_without_a_gap",
    "live.progress.subscribe": f"{LIVE_PROGRESS}::test_a_snapshot_comes_first_and_then_every_change",
    "live.progress.unsubscribe": f"{LIVE_PROGRESS}::test_following_ends_when_it_is_asked_to",
    "live.mark_read": f"{LIVE_INBOX}::test_what_one_device_reads_is_read_on_all",
    "live.unread": f"{LIVE_INBOX}::test_what_one_device_reads_is_read_on_all",
}
