"""Which integration test uses which route and message: every one of the documents has its line here."""

from __future__ import annotations

OPERATIONS = "tests/integration/test_every_operation.py"
HTTP_JOBS = f"{OPERATIONS}::test_jobs_over_http"
HTTP_EVENTS = f"{OPERATIONS}::test_events_and_subscriptions_over_http"
HTTP_HEALTH = f"{OPERATIONS}::test_health_over_http"
HTTP_NAMES = f"{OPERATIONS}::test_every_command_and_query_by_name_over_http"
HTTP_CLOUDEVENTS = f"{OPERATIONS}::test_commands_as_cloudevents_over_http"
AMQP_JOBS = f"{OPERATIONS}::test_jobs_over_amqp"
AMQP_JOB_EVENTS = f"{OPERATIONS}::test_events_of_jobs_over_amqp"
AMQP_LOST = f"{OPERATIONS}::test_the_event_of_a_lost_attempt_over_amqp"
AMQP_SUBSCRIPTIONS = f"{OPERATIONS}::test_subscriptions_and_events_over_amqp"
AMQP_LOG = f"{OPERATIONS}::test_the_log_over_amqp"

# The same operations exist under `/api/v1`, as `v1_<operation>`; the tests run on both.
ROUTES: dict[str, str] = {
    "health": HTTP_HEALTH,
    "health_live": HTTP_HEALTH,
    "health_ready": HTTP_HEALTH,
    "metrics": HTTP_HEALTH,
    "enqueue_job": HTTP_JOBS,
    "list_jobs": HTTP_JOBS,
    "list_dead_letters": HTTP_JOBS,
    "job_stats": HTTP_JOBS,
    "get_job": HTTP_JOBS,
    "delete_job": HTTP_JOBS,
    "retry_job": HTTP_JOBS,
    "why": HTTP_JOBS,
    "history": HTTP_JOBS,
    "state": HTTP_JOBS,
    "publish_event": HTTP_EVENTS,
    "follow_events": HTTP_EVENTS,
    "list_subscriptions": HTTP_EVENTS,
    "create_subscription": HTTP_EVENTS,
    "get_subscription": HTTP_EVENTS,
    "activate_subscription": HTTP_EVENTS,
    "acknowledge_subscription": HTTP_EVENTS,
    "park_subscription": HTTP_EVENTS,
    "release_subscription": HTTP_EVENTS,
    "command_cloudevents": HTTP_CLOUDEVENTS,
    "command_job_enqueue": HTTP_NAMES,
    "command_job_cancel": HTTP_NAMES,
    "command_job_retry": HTTP_NAMES,
    "command_job_remove": HTTP_NAMES,
    "command_job_report": HTTP_NAMES,
    "command_job_checkpoint": HTTP_NAMES,
    "command_job_claim": HTTP_NAMES,
    "command_job_renew": HTTP_NAMES,
    "command_job_withdraw": HTTP_NAMES,
    "command_event_publish": HTTP_NAMES,
    "command_subscription_create": HTTP_NAMES,
    "command_subscription_acknowledge": HTTP_NAMES,
    "command_subscription_park": HTTP_NAMES,
    "command_subscription_release": HTTP_NAMES,
    "command_subscription_set_active": HTTP_NAMES,
    "command_subscription_lease": HTTP_NAMES,
    "query_job_get": HTTP_NAMES,
    "query_job_list": HTTP_NAMES,
    "query_job_stats": HTTP_NAMES,
    "query_subscription_get": HTTP_NAMES,
    "query_subscription_list": HTTP_NAMES,
    "query_log_read": HTTP_NAMES,
    "query_log_history": HTTP_NAMES,
    "query_log_state": HTTP_NAMES,
    "query_log_why": HTTP_NAMES,
}

# A request and its reply go together: `job.enqueue` stands for `job.enqueue.reply` too.
MESSAGES: dict[str, str] = {
    "job.enqueue": AMQP_JOBS,
    "job.cancel": AMQP_JOBS,
    "job.retry": AMQP_JOBS,
    "job.remove": AMQP_JOBS,
    "job.report": AMQP_JOBS,
    "job.checkpoint": AMQP_JOBS,
    "job.claim": AMQP_JOBS,
    "job.renew": AMQP_JOBS,
    "job.withdraw": AMQP_JOBS,
    "job.get": AMQP_JOBS,
    "job.list": AMQP_JOBS,
    "job.stats": AMQP_JOBS,
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
    "subscription.created.event": AMQP_SUBSCRIPTIONS,
    "subscription.changed.event": AMQP_SUBSCRIPTIONS,
    "subscription.advanced.event": AMQP_SUBSCRIPTIONS,
    "subscription.parked.event": AMQP_SUBSCRIPTIONS,
    "subscription.released.event": AMQP_SUBSCRIPTIONS,
    "subscription.activated.event": AMQP_SUBSCRIPTIONS,
    "subscription.paused.event": AMQP_SUBSCRIPTIONS,
}
