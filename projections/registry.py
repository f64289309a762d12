"""The kinds of aggregates and the read models that exist."""

from __future__ import annotations

from domain.aggregate import Aggregate
from domain.archive import Archive
from domain.batch import Batch
from domain.circuit import Circuit
from domain.event import Publication
from domain.inbox import Inbox
from domain.job import Job
from domain.notification import Notification
from domain.progress import Progress
from domain.queue import Queue
from domain.schedule import Schedule
from domain.subscription import Subscription
from domain.template import Template
from projections.jobs import JobsProjection
from projections.notifications import NotificationsProjection
from projections.progress import ProgressProjection
from projections.projection import Projection
from projections.schedules import SchedulesProjection
from projections.subscriptions import SubscriptionsProjection

AGGREGATES: dict[str, type[Aggregate]] = {
    cls.KIND: cls
    for cls in (
        Job,
        Publication,
        Queue,
        Subscription,
        Schedule,
        Batch,
        Progress,
        Notification,
        Inbox,
        Template,
        Archive,
        Circuit,
    )
}


def projections() -> list[Projection]:
    """The asynchronous read models, each new."""
    return [
        JobsProjection(),
        SubscriptionsProjection(),
        SchedulesProjection(),
        ProgressProjection(),
        NotificationsProjection(),
    ]
