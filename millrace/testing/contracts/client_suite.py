"""The contract of the client's interface: one suite for every service that it can stand on.

A subclass, with a fixture `bench` (see `millrace.testing.contracts.bench`), runs all of it.
"""

from __future__ import annotations

from millrace.testing.contracts.client_affinity import AffinityContract
from millrace.testing.contracts.client_arguments import ArgumentsContract
from millrace.testing.contracts.client_batches import BatchesContract
from millrace.testing.contracts.client_checkpoints import CheckpointsContract
from millrace.testing.contracts.client_circuits import CircuitsContract
from millrace.testing.contracts.client_control import ControlContract
from millrace.testing.contracts.client_dead_letters import DeadLettersContract
from millrace.testing.contracts.client_due_jobs import DueJobsContract
from millrace.testing.contracts.client_ends import EndsContract
from millrace.testing.contracts.client_enqueuing import EnqueuingContract
from millrace.testing.contracts.client_events import EventsContract
from millrace.testing.contracts.client_extensions import ExtensionsContract
from millrace.testing.contracts.client_graphs import GraphsContract
from millrace.testing.contracts.client_heartbeats import HeartbeatsContract
from millrace.testing.contracts.client_identity import IdentityContract
from millrace.testing.contracts.client_logs import LogsContract
from millrace.testing.contracts.client_notification_hooks import NotificationHooksContract
from millrace.testing.contracts.client_notification_inbox import NotificationInboxContract
from millrace.testing.contracts.client_notifications import NotificationsContract
from millrace.testing.contracts.client_pools import PoolsContract
from millrace.testing.contracts.client_progress import ProgressContract
from millrace.testing.contracts.client_progress_ends import ProgressEndsContract
from millrace.testing.contracts.client_progress_hooks import ProgressHooksContract
from millrace.testing.contracts.client_progress_jobs import JobProgressContract
from millrace.testing.contracts.client_queues import QueuesContract
from millrace.testing.contracts.client_reading import ReadingContract
from millrace.testing.contracts.client_results import ResultsContract
from millrace.testing.contracts.client_running import RunningContract
from millrace.testing.contracts.client_scheduled_jobs import ScheduledJobsContract
from millrace.testing.contracts.client_schedules import SchedulesContract
from millrace.testing.contracts.client_serializers import SerializersContract
from millrace.testing.contracts.client_subscriptions import SubscriptionsContract
from millrace.testing.contracts.client_templates import TemplatesContract
from millrace.testing.contracts.client_tenants import TenantsContract
from millrace.testing.contracts.client_why import WhyContract


class ClientSuite(
    EnqueuingContract,
    IdentityContract,
    GraphsContract,
    BatchesContract,
    RunningContract,
    ResultsContract,
    ArgumentsContract,
    CheckpointsContract,
    ExtensionsContract,
    EndsContract,
    LogsContract,
    HeartbeatsContract,
    ControlContract,
    DeadLettersContract,
    QueuesContract,
    PoolsContract,
    AffinityContract,
    CircuitsContract,
    ProgressContract,
    ProgressEndsContract,
    JobProgressContract,
    ProgressHooksContract,
    ReadingContract,
    TenantsContract,
    EventsContract,
    SchedulesContract,
    ScheduledJobsContract,
    NotificationsContract,
    NotificationInboxContract,
    NotificationHooksContract,
    TemplatesContract,
    SerializersContract,
    SubscriptionsContract,
    WhyContract,
    DueJobsContract,
):
    """Everything that an application can rely on, whatever carries its messages."""
