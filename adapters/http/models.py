"""Answers as HTTP shows them, where the contracts have no model of their own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.contracts.batch import Batch
from millrace.contracts.circuit import Circuit, CircuitState
from millrace.contracts.deadletter import DeadLetter, DeadLetterDetail, DeadLetterPage, FailureGroups, Mended, Preview
from millrace.contracts.event import Leased, Subscription
from millrace.contracts.inbox import Contacts, Preferences
from millrace.contracts.job import Grants, Job, JobStatus, Renewed, Stats, Withdrawn
from millrace.contracts.job_bulk import Bulk
from millrace.contracts.job_graph import JobGraph
from millrace.contracts.job_logs import JobLog, Logged
from millrace.contracts.job_result import ResultPart, Uploaded
from millrace.contracts.log import CloudEvent, LogPage
from millrace.contracts.notification import DeliveryStatus, Notification
from millrace.contracts.notification_resend import Resent
from millrace.contracts.progress import Outcome, Progress
from millrace.contracts.queue import Drained, Queue
from millrace.contracts.schedule import Schedule, Upcoming
from millrace.contracts.template import ListedTemplate, Template, TemplatePreview
from millrace.contracts.why import Why


class JobCreated(BaseModel):
    """Answer to `POST /api/jobs`; `existing` where another job with the unique key is the answer."""

    job_id: str
    existing: bool = False


class Enqueued(BaseModel):
    """Answer to `job.enqueue`; `existing` where another job with the unique key is the answer."""

    job_id: str
    status: JobStatus
    created_at: datetime
    run_at: datetime | None = None
    existing: bool = False


class Canceled(BaseModel):
    """Answer to `job.cancel`."""

    job_id: str
    status: JobStatus
    success: bool


class JobChanged(BaseModel):
    """Answer to `job.change`, `job.edit`, `job.retry`, `job.report` and `job.checkpoint`."""

    job_id: str
    status: JobStatus


class Undone(BaseModel):
    """Answer to `job.undo`."""

    job_id: str
    status: JobStatus
    undone: Literal["retry", "edit"]


class Removed(BaseModel):
    """Answer to `job.remove`."""

    job_id: str
    success: bool


class Success(BaseModel):
    """Answer to `DELETE /api/jobs/{id}`."""

    success: Literal[True] = True


def _second_names(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    properties["payload"] = {**properties["data"], "title": "Payload", "description": "the same as `data`"}
    properties["processed_at"] = {
        **properties["started_at"],
        "title": "Processed At",
        "description": "the same as `started_at`",
    }


class JobView(Job):
    """A job, with the second names that some of its fields have."""

    model_config = ConfigDict(json_schema_extra=_second_names)


class DeadLetterView(DeadLetter):
    """A dead letter, with the second names that some of its fields have."""

    model_config = ConfigDict(json_schema_extra=_second_names)


class JobAnswer(BaseModel):
    """Answer to `job.get`."""

    job: Job


class JobPage(BaseModel):
    """Answer to `job.list`."""

    jobs: list[Job]
    cursor: str | None = None


class BatchChanged(BaseModel):
    """Answer to the commands on a batch."""

    batch_id: str
    is_sealed: bool
    is_cancelled: bool


class BatchAnswer(BaseModel):
    """Answer to `batch.get`."""

    batch: Batch


class BatchPage(BaseModel):
    """Answer to `batch.list`."""

    batches: list[Batch]
    cursor: str | None = None


class ObjectPlace(BaseModel):
    """An object of the storage: its name, the SHA-256 of its content, and its size in bytes."""

    name: str
    sha256: str
    size: int


class EventPage(BaseModel):
    """Answer to `log.history` and `log.why`. `archived` is where events come from that have left the log."""

    events: list[CloudEvent]
    archived: ObjectPlace | None = None


class AggregateState(BaseModel):
    """An aggregate as of a version or a time."""

    kind: str
    id: str
    version: int
    state: dict[str, Any] | None


class Published(BaseModel):
    """Answer to `event.publish`."""

    event_id: str


class ScheduleReply(BaseModel):
    """Answer to the commands that make or change a schedule."""

    name: str
    paused: bool
    next_due_at: datetime | None = None


class ScheduleRemovedReply(BaseModel):
    """Answer to `schedule.remove`."""

    name: str
    success: Literal[True] = True


class Triggered(BaseModel):
    """Answer to `schedule.trigger`."""

    name: str
    job_id: str


class ScheduleAnswer(BaseModel):
    """Answer to `schedule.get`."""

    schedule: Schedule


class SchedulePage(BaseModel):
    """Answer to `schedule.list`."""

    schedules: list[Schedule]
    cursor: str | None = None


class ProgressAnswer(BaseModel):
    """Answer to `progress.get` and to the commands on a progress."""

    progress: Progress


class ProgressSampled(BaseModel):
    """Answer to `progress.update`: what is recorded, and whether the update was."""

    progress: Progress
    outcome: Outcome


class ProgressRemovedReply(BaseModel):
    """Answer to `progress.remove`."""

    progress_id: str
    success: Literal[True] = True


class ProgressPage(BaseModel):
    """Answer to `progress.list`."""

    progress: list[Progress]


class NotificationSent(BaseModel):
    """Answer to `notification.send`: what is done in each channel."""

    notification_id: str
    deliveries: dict[str, DeliveryStatus] = Field(default_factory=dict)


class NotificationChanged(BaseModel):
    """Answer to the commands on a notification."""

    notification_id: str
    success: Literal[True] = True


class BulkSent(BaseModel):
    """Answer to `POST /api/notifications/bulk`: a reply for each notification."""

    sent: int
    refused: int
    results: list[dict[str, Any]]


class Unread(BaseModel):
    """Answer to `notification.unread_count`."""

    user_id: str
    unread: int


class InboxRead(BaseModel):
    """Answer to `notification.mark_all_read`."""

    user_id: str
    success: Literal[True] = True


class TemplateReply(BaseModel):
    """Answer to the commands on a template: its newest version."""

    name: str
    version: int


class TemplateAnswer(BaseModel):
    """Answer to `template.get`."""

    template: Template


class TemplateList(BaseModel):
    """Answer to `template.list`."""

    templates: list[ListedTemplate]


class NotificationAnswer(BaseModel):
    """Answer to `notification.get`."""

    notification: Notification


class NotificationPage(BaseModel):
    """Answer to `notification.list`."""

    notifications: list[Notification]
    cursor: str | None = None


class SubscriptionAnswer(BaseModel):
    """Answer to `subscription.get`."""

    subscription: Subscription


class SubscriptionPage(BaseModel):
    """Answer to `subscription.list`."""

    subscriptions: list[Subscription]


class SubscriptionReply(BaseModel):
    """Answer to the commands on a subscription."""

    model_config = ConfigDict(extra="allow")


class CircuitReply(BaseModel):
    """Answer to the commands on a circuit breaker."""

    name: str
    state: CircuitState


class CircuitAnswer(BaseModel):
    """Answer to `circuit.get`."""

    circuit: Circuit


class CircuitPage(BaseModel):
    """Answer to `circuit.list`."""

    circuits: list[Circuit]


class QueueReply(BaseModel):
    """Answer to the commands on a queue."""

    name: str
    paused: bool


class QueueAnswer(BaseModel):
    """Answer to `queue.get`."""

    queue: Queue


class QueuePage(BaseModel):
    """Answer to `queue.list`."""

    queues: list[Queue]


class Healthy(BaseModel):
    """The process answers."""

    status: Literal["healthy"] = "healthy"


class PartState(BaseModel):
    """One part of the service."""

    status: Literal["ok", "degraded", "down"]
    detail: str | None = None


class Readiness(BaseModel):
    """Whether the service can do its work, and how each of its parts is."""

    status: Literal["ready", "degraded", "not-ready"]
    parts: dict[str, PartState]


COMMAND_RESULTS: dict[str, type[BaseModel]] = {
    "job.enqueue": Enqueued,
    "job.cancel": Canceled,
    "job.change": JobChanged,
    "job.retry": JobChanged,
    "job.remove": Removed,
    "job.edit": JobChanged,
    "job.undo": Undone,
    "job.cancel_many": Bulk,
    "job.retry_many": Bulk,
    "deadletter.retry": Mended,
    "deadletter.purge": Mended,
    "job.report": JobChanged,
    "job.checkpoint": JobChanged,
    "job.claim": Grants,
    "job.renew": Renewed,
    "job.withdraw": Withdrawn,
    "job.log": Logged,
    "job.upload": Uploaded,
    "batch.create": BatchChanged,
    "batch.seal": BatchChanged,
    "batch.cancel": BatchChanged,
    "schedule.create": ScheduleReply,
    "schedule.change": ScheduleReply,
    "schedule.pause": ScheduleReply,
    "schedule.resume": ScheduleReply,
    "schedule.remove": ScheduleRemovedReply,
    "schedule.trigger": Triggered,
    "template.save": TemplateReply,
    "template.remove": TemplateReply,
    "progress.create": ProgressAnswer,
    "progress.update": ProgressSampled,
    "progress.advance": ProgressAnswer,
    "progress.complete": ProgressAnswer,
    "progress.fail": ProgressAnswer,
    "progress.cancel": ProgressAnswer,
    "progress.resume": ProgressAnswer,
    "progress.checkpoint": ProgressAnswer,
    "progress.remove": ProgressRemovedReply,
    "notification.send": NotificationSent,
    "notification.mark_read": NotificationChanged,
    "notification.mark_all_read": InboxRead,
    "notification.cancel": NotificationChanged,
    "notification.snooze": NotificationChanged,
    "notification.receipt": NotificationChanged,
    "notification.report": NotificationChanged,
    "notification.resend": NotificationChanged,
    "notification.resend_since": Resent,
    "notification.set_preferences": Preferences,
    "notification.set_contacts": Contacts,
    "event.publish": Published,
    "subscription.create": SubscriptionReply,
    "subscription.acknowledge": SubscriptionReply,
    "subscription.park": SubscriptionReply,
    "subscription.release": SubscriptionReply,
    "subscription.set_active": SubscriptionReply,
    "subscription.lease": Leased,
    "circuit.configure": CircuitReply,
    "circuit.reset": CircuitReply,
    "queue.configure": QueueReply,
    "queue.pause": QueueReply,
    "queue.resume": QueueReply,
    "queue.drain": Drained,
}
QUERY_RESULTS: dict[str, type[BaseModel]] = {
    "job.get": JobAnswer,
    "job.list": JobPage,
    "job.graph": JobGraph,
    "job.stats": Stats,
    "job.why": Why,
    "deadletter.list": DeadLetterPage,
    "deadletter.groups": FailureGroups,
    "deadletter.get": DeadLetterDetail,
    "deadletter.preview": Preview,
    "job.logs": JobLog,
    "job.result": ResultPart,
    "batch.get": BatchAnswer,
    "batch.list": BatchPage,
    "schedule.get": ScheduleAnswer,
    "schedule.list": SchedulePage,
    "schedule.next": Upcoming,
    "template.get": TemplateAnswer,
    "template.list": TemplateList,
    "template.preview": TemplatePreview,
    "progress.get": ProgressAnswer,
    "progress.list": ProgressPage,
    "notification.get": NotificationAnswer,
    "notification.list": NotificationPage,
    "notification.unread_count": Unread,
    "notification.preferences": Preferences,
    "notification.contacts": Contacts,
    "log.read": LogPage,
    "log.history": EventPage,
    "log.state": AggregateState,
    "log.why": EventPage,
    "subscription.get": SubscriptionAnswer,
    "subscription.list": SubscriptionPage,
    "circuit.get": CircuitAnswer,
    "circuit.list": CircuitPage,
    "queue.get": QueueAnswer,
    "queue.list": QueuePage,
}
