"""Which integration test uses which route and message of jobs and dead letters."""

from __future__ import annotations

OPERATIONS = "tests/integration/operations/test_jobs.py"
HTTP_JOBS = f"{OPERATIONS}::test_jobs_over_http"
HTTP_DEAD = f"{OPERATIONS}::test_dead_letters_over_http"
AMQP_JOBS = f"{OPERATIONS}::test_jobs_over_amqp"
AMQP_DEAD = f"{OPERATIONS}::test_dead_letters_over_amqp"
AMQP_JOB_EVENTS = f"{OPERATIONS}::test_events_of_jobs_over_amqp"
AMQP_LOST = f"{OPERATIONS}::test_the_event_of_a_lost_attempt_over_amqp"

# The same operations exist under `/api/v1`, as `v1_<operation>`; the tests run on both.
ROUTES: dict[str, str] = {
    "enqueue_job": HTTP_JOBS,
    "list_jobs": HTTP_JOBS,
    "list_dead_letters": HTTP_DEAD,
    "group_dead_letters": HTTP_DEAD,
    "get_dead_letter": HTTP_DEAD,
    "edit_dead_letter": HTTP_DEAD,
    "preview_dead_letters": HTTP_DEAD,
    "undo_job": HTTP_DEAD,
    "retry_dead_letters": HTTP_DEAD,
    "purge_dead_letters": HTTP_DEAD,
    "job_stats": HTTP_JOBS,
    "get_job": HTTP_JOBS,
    "get_job_logs": HTTP_JOBS,
    "get_job_result": HTTP_JOBS,
    "delete_job": HTTP_JOBS,
    "retry_job": HTTP_JOBS,
    "why_job": HTTP_JOBS,
    "cancel_jobs": HTTP_JOBS,
    "retry_jobs": HTTP_JOBS,
    "job_graph": HTTP_JOBS,
    "why": HTTP_JOBS,
    "history": HTTP_JOBS,
    "state": HTTP_JOBS,
}

# A request and its reply go together: `job.enqueue` stands for `job.enqueue.reply` too.
MESSAGES: dict[str, str] = {
    "job.enqueue": AMQP_JOBS,
    "job.cancel": AMQP_JOBS,
    "job.retry": AMQP_JOBS,
    "job.remove": AMQP_JOBS,
    "job.report": AMQP_JOBS,
    "job.checkpoint": AMQP_JOBS,
    "job.log": AMQP_JOBS,
    "job.logs": AMQP_JOBS,
    "job.upload": AMQP_JOBS,
    "job.result": AMQP_JOBS,
    "job.claim": AMQP_JOBS,
    "job.renew": AMQP_JOBS,
    "job.withdraw": AMQP_JOBS,
    "job.get": AMQP_JOBS,
    "job.list": AMQP_JOBS,
    "job.stats": AMQP_JOBS,
    "job.why": AMQP_JOBS,
    "job.edit": AMQP_DEAD,
    "job.undo": AMQP_DEAD,
    "deadletter.list": AMQP_DEAD,
    "deadletter.groups": AMQP_DEAD,
    "deadletter.get": AMQP_DEAD,
    "deadletter.preview": AMQP_DEAD,
    "deadletter.retry": AMQP_DEAD,
    "deadletter.purge": AMQP_DEAD,
    "job.graph": AMQP_JOBS,
    "job.cancel_many": AMQP_JOBS,
    "job.retry_many": AMQP_JOBS,
    "job.enqueued.event": AMQP_JOB_EVENTS,
    "job.started.event": AMQP_JOB_EVENTS,
    "job.checkpointed.event": AMQP_JOB_EVENTS,
    "job.completed.event": AMQP_JOB_EVENTS,
    "job.attempt_failed.event": AMQP_JOB_EVENTS,
    "job.attempt_lost.event": AMQP_LOST,
    "job.attempt_returned.event": AMQP_JOB_EVENTS,
    "job.retry_scheduled.event": AMQP_JOB_EVENTS,
    "job.dead_lettered.event": AMQP_JOB_EVENTS,
    "job.revived.event": AMQP_JOB_EVENTS,
    "job.cancelled.event": AMQP_JOB_EVENTS,
    "job.removed.event": AMQP_JOB_EVENTS,
    "job.edited.event": AMQP_JOB_EVENTS,
    "job.edit_undone.event": AMQP_JOB_EVENTS,
    "job.retry_undone.event": AMQP_JOB_EVENTS,
}
