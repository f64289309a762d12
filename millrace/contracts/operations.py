"""Commands that are sent and handled in another way than the rest."""

from __future__ import annotations

# No aggregate decides these: they concern who works on what right now, or give commands to many, and record nothing by
# themselves.
OPERATIONS = frozenset(
    {
        "job.claim",
        "job.renew",
        "job.withdraw",
        "job.log",
        "job.upload",
        "subscription.lease",
        "job.cancel_many",
        "job.retry_many",
        "deadletter.retry",
        "deadletter.purge",
        "queue.drain",
        "notification.resend_since",
    }
)

# What a worker of several tenants sends in the name of a job's tenant: what concerns the job and what its handler does,
# by `app`, by `job.progress` and by `app.notifications`.
WORKING = frozenset(
    {
        "job.renew",
        "job.report",
        "job.checkpoint",
        "job.log",
        "job.upload",
        "job.enqueue",
        "event.publish",
        "progress.create",
        "progress.update",
        "progress.advance",
        "progress.checkpoint",
        "progress.complete",
        "progress.fail",
        "progress.cancel",
        "progress.resume",
        "progress.remove",
        "notification.send",
    }
)

# Over RabbitMQ these go to the exchange `millrace.claims`, as transient messages: their senders repeat them until they
# are answered, or have no use for a late answer. A durable queue would cost a write to disk and keep nothing.
TRANSIENT = OPERATIONS | {"job.report", "progress.update"}
