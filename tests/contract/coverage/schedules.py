"""Which integration test uses which route and message of schedules."""

from __future__ import annotations

OPERATIONS = "tests/integration/operations/test_schedules.py"
HTTP_SCHEDULES = f"{OPERATIONS}::test_schedules_over_http"
AMQP_SCHEDULES = f"{OPERATIONS}::test_schedules_over_amqp"

# The same operations exist under `/api/v1`, as `v1_<operation>`; the tests run on both.
ROUTES: dict[str, str] = {
    "create_schedule": HTTP_SCHEDULES,
    "list_schedules": HTTP_SCHEDULES,
    "get_schedule": HTTP_SCHEDULES,
    "change_schedule": HTTP_SCHEDULES,
    "delete_schedule": HTTP_SCHEDULES,
    "next_runs": HTTP_SCHEDULES,
    "trigger_schedule": HTTP_SCHEDULES,
    "pause_schedule": HTTP_SCHEDULES,
    "resume_schedule": HTTP_SCHEDULES,
}

MESSAGES: dict[str, str] = {
    "schedule.create": AMQP_SCHEDULES,
    "schedule.change": AMQP_SCHEDULES,
    "schedule.pause": AMQP_SCHEDULES,
    "schedule.resume": AMQP_SCHEDULES,
    "schedule.remove": AMQP_SCHEDULES,
    "schedule.trigger": AMQP_SCHEDULES,
    "schedule.get": AMQP_SCHEDULES,
    "schedule.list": AMQP_SCHEDULES,
    "schedule.next": AMQP_SCHEDULES,
    "schedule.created.event": AMQP_SCHEDULES,
    "schedule.changed.event": AMQP_SCHEDULES,
    "schedule.fired.event": AMQP_SCHEDULES,
    "schedule.skipped.event": AMQP_SCHEDULES,
    "schedule.paused.event": AMQP_SCHEDULES,
    "schedule.resumed.event": AMQP_SCHEDULES,
    "schedule.removed.event": AMQP_SCHEDULES,
}
