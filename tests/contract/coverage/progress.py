"""Which integration test uses which route and message of progress."""

from __future__ import annotations

OPERATIONS = "tests/integration/operations/test_progress.py"
HTTP_PROGRESS = f"{OPERATIONS}::test_progress_over_http"
AMQP_PROGRESS = f"{OPERATIONS}::test_progress_over_amqp"

# The same operations exist under `/api/v1`, as `v1_<operation>`; the tests run on both.
ROUTES: dict[str, str] = {
    "create_progress": HTTP_PROGRESS,
    "list_progress": HTTP_PROGRESS,
    "get_progress": HTTP_PROGRESS,
    "update_progress": HTTP_PROGRESS,
    "remove_progress": HTTP_PROGRESS,
    "resume_progress": HTTP_PROGRESS,
    "advance_progress": HTTP_PROGRESS,
    "complete_progress": HTTP_PROGRESS,
    "fail_progress": HTTP_PROGRESS,
    "cancel_progress": HTTP_PROGRESS,
    "checkpoint_progress": HTTP_PROGRESS,
}

MESSAGES: dict[str, str] = {
    "progress.create": AMQP_PROGRESS,
    "progress.list": AMQP_PROGRESS,
    "progress.get": AMQP_PROGRESS,
    "progress.update": AMQP_PROGRESS,
    "progress.remove": AMQP_PROGRESS,
    "progress.resume": AMQP_PROGRESS,
    "progress.advance": AMQP_PROGRESS,
    "progress.complete": AMQP_PROGRESS,
    "progress.fail": AMQP_PROGRESS,
    "progress.cancel": AMQP_PROGRESS,
    "progress.checkpoint": AMQP_PROGRESS,
    "progress.created.event": AMQP_PROGRESS,
    "progress.updated.event": AMQP_PROGRESS,
    "progress.stage_changed.event": AMQP_PROGRESS,
    "progress.completed.event": AMQP_PROGRESS,
    "progress.failed.event": AMQP_PROGRESS,
    "progress.cancelled.event": AMQP_PROGRESS,
    "progress.resumed.event": AMQP_PROGRESS,
    "progress.child_reported.event": AMQP_PROGRESS,
    "progress.jobs_counted.event": AMQP_PROGRESS,
    "progress.checkpointed.event": AMQP_PROGRESS,
    "progress.stalled.event": AMQP_PROGRESS,
    "progress.removed.event": AMQP_PROGRESS,
}
