"""Millrace: background jobs and events on one durable log."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.client import Millrace
    from millrace.contracts.inbox import NotificationPreferences, QuietHours
    from millrace.contracts.job import Job, JobStatus, Retry, Stats, Unique
    from millrace.contracts.log import CloudEvent
    from millrace.contracts.notification import DeliveryStatus, Notification, NotificationChannel, NotificationType
    from millrace.contracts.progress import (
        Progress,
        ProgressOptions,
        ProgressStage,
        ProgressStatus,
        ProgressUpdate,
    )
    from millrace.email_providers import SendGridProvider
    from millrace.errors import (
        AlreadyExists,
        BatchSealed,
        CheckpointRefused,
        ClaimsNotAllowed,
        Conflict,
        DependencyCycle,
        DuplicateJob,
        HeartbeatRefused,
        IdempotencyMismatch,
        Invalid,
        JobFailed,
        LogGone,
        LogReset,
        MillraceError,
        NonRetryable,
        NotFound,
        NotReadable,
        NotSerializable,
        OutcomeUnknown,
        PartlyRefused,
        PluginUnusable,
        ProgressRing,
        Refused,
        ResultDamaged,
        ResultIncomplete,
        RetryAfter,
        Snooze,
        SoftTimeout,
        StaleAttempt,
        TooLarge,
        Unauthorized,
        Unavailable,
        UnknownBatch,
        UnknownCodec,
        UnknownParent,
    )
    from millrace.events import Event
    from millrace.graph import Graph
    from millrace.job_context import JobContext
    from millrace.job_plugins import JobPlugin
    from millrace.jobs import JobQueue
    from millrace.notification_channels import OutgoingNotification
    from millrace.notification_plugins import NotificationPlugin
    from millrace.notification_service import NotificationService
    from millrace.notifications import Notifications
    from millrace.progress import PostgreSQLProgressStorage, ProgressStorage, ProgressTracker
    from millrace.progress_plugins import ProgressEmitter, ProgressPlugin
    from millrace.serializers import Serializer, TypedJson
    from millrace.worker import Worker

__all__ = [
    "AlreadyExists",
    "BatchSealed",
    "CheckpointRefused",
    "ClaimsNotAllowed",
    "CloudEvent",
    "Conflict",
    "DeliveryStatus",
    "DependencyCycle",
    "DuplicateJob",
    "Event",
    "Graph",
    "HeartbeatRefused",
    "IdempotencyMismatch",
    "Invalid",
    "Job",
    "JobContext",
    "JobFailed",
    "JobPlugin",
    "JobQueue",
    "JobStatus",
    "LogGone",
    "LogReset",
    "Millrace",
    "MillraceError",
    "NonRetryable",
    "NotFound",
    "NotReadable",
    "NotSerializable",
    "Notification",
    "NotificationChannel",
    "NotificationPlugin",
    "NotificationPreferences",
    "NotificationService",
    "NotificationType",
    "Notifications",
    "OutcomeUnknown",
    "OutgoingNotification",
    "PartlyRefused",
    "PluginUnusable",
    "PostgreSQLProgressStorage",
    "Progress",
    "ProgressEmitter",
    "ProgressOptions",
    "ProgressPlugin",
    "ProgressRing",
    "ProgressStage",
    "ProgressStatus",
    "ProgressStorage",
    "ProgressTracker",
    "ProgressUpdate",
    "QuietHours",
    "Refused",
    "ResultDamaged",
    "ResultIncomplete",
    "Retry",
    "RetryAfter",
    "SendGridProvider",
    "Serializer",
    "Snooze",
    "SoftTimeout",
    "StaleAttempt",
    "Stats",
    "TooLarge",
    "TypedJson",
    "Unauthorized",
    "Unavailable",
    "Unique",
    "UnknownBatch",
    "UnknownCodec",
    "UnknownParent",
    "Worker",
]

# Where a name of `__all__` is defined, if not in `errors`. The service and the command line import parts of this
# package, and must not pay for a client that they do not use, so that nothing is imported before it is asked for.
_HOMES = {
    "CloudEvent": "contracts.log",
    "DeliveryStatus": "contracts.notification",
    "Event": "events",
    "Graph": "graph",
    "Job": "contracts.job",
    "JobContext": "job_context",
    "JobPlugin": "job_plugins",
    "JobQueue": "jobs",
    "JobStatus": "contracts.job",
    "Millrace": "client",
    "PostgreSQLProgressStorage": "progress",
    "Progress": "contracts.progress",
    "ProgressEmitter": "progress_plugins",
    "ProgressPlugin": "progress_plugins",
    "ProgressStorage": "progress",
    "ProgressOptions": "contracts.progress",
    "ProgressStage": "contracts.progress",
    "ProgressStatus": "contracts.progress",
    "ProgressTracker": "progress",
    "ProgressUpdate": "contracts.progress",
    "Notification": "contracts.notification",
    "NotificationChannel": "contracts.notification",
    "NotificationPlugin": "notification_plugins",
    "NotificationPreferences": "contracts.inbox",
    "NotificationService": "notification_service",
    "NotificationType": "contracts.notification",
    "Notifications": "notifications",
    "OutgoingNotification": "notification_channels",
    "QuietHours": "contracts.inbox",
    "Retry": "contracts.job",
    "SendGridProvider": "email_providers",
    "Serializer": "serializers",
    "Stats": "contracts.job",
    "TypedJson": "serializers",
    "Unique": "contracts.job",
    "Worker": "worker",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'millrace' has no attribute {name!r}")
    value = getattr(import_module(f"millrace.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
