"""The model of the answer to each command and query."""

from __future__ import annotations

from pydantic import BaseModel

from adapters.http.models.batch import BatchAnswer, BatchChanged, BatchPage
from adapters.http.models.circuit import CircuitAnswer, CircuitPage, CircuitReply
from adapters.http.models.event import Published, SubscriptionAnswer, SubscriptionPage, SubscriptionReply
from adapters.http.models.job import Canceled, ChangedJob, Enqueued, JobAnswer, JobPage, Removed, Undone
from adapters.http.models.log import AggregateState, EventPage
from adapters.http.models.notification import (
    InboxRead,
    NotificationAnswer,
    NotificationChanged,
    NotificationPage,
    SentNotification,
    Unread,
)
from adapters.http.models.progress import ProgressAnswer, ProgressPage, ProgressRemovedReply, ProgressSampled
from adapters.http.models.queue import QueueAnswer, QueuePage, QueueReply
from adapters.http.models.schedule import ScheduleAnswer, SchedulePage, ScheduleRemovedReply, ScheduleReply, Triggered
from adapters.http.models.template import TemplateAnswer, TemplateList, TemplateReply
from millrace.contracts.deadletter import DeadLetterDetail, DeadLetterPage, FailureGroups, Mended, Preview
from millrace.contracts.event import Leased
from millrace.contracts.inbox import Contacts, Preferences
from millrace.contracts.job import Grants, Renewed, Stats, Withdrawn
from millrace.contracts.job_bulk import Bulk
from millrace.contracts.job_graph import JobGraph
from millrace.contracts.job_logs import JobLog, Logged
from millrace.contracts.job_result import ResultPart, Uploaded
from millrace.contracts.log import LogPage
from millrace.contracts.notification_resend import Resent
from millrace.contracts.queue import Drained
from millrace.contracts.schedule import Upcoming
from millrace.contracts.template import TemplatePreview
from millrace.contracts.why import Why

COMMAND_RESULTS: dict[str, type[BaseModel]] = {
    "job.enqueue": Enqueued,
    "job.cancel": Canceled,
    "job.change": ChangedJob,
    "job.retry": ChangedJob,
    "job.remove": Removed,
    "job.edit": ChangedJob,
    "job.undo": Undone,
    "job.cancel_many": Bulk,
    "job.retry_many": Bulk,
    "deadletter.retry": Mended,
    "deadletter.purge": Mended,
    "job.report": ChangedJob,
    "job.checkpoint": ChangedJob,
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
    "notification.send": SentNotification,
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
