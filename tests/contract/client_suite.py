"""The contract of the client's interface: one suite for every service that it can stand on.

A subclass, with a fixture `bench` (see `tests.contract.bench`), runs all of it.
"""

from __future__ import annotations

from tests.contract.client_arguments import ArgumentsContract
from tests.contract.client_batches import BatchesContract
from tests.contract.client_checkpoints import CheckpointsContract
from tests.contract.client_control import ControlContract
from tests.contract.client_dead_letters import DeadLettersContract
from tests.contract.client_ends import EndsContract
from tests.contract.client_enqueuing import EnqueuingContract
from tests.contract.client_events import EventsContract
from tests.contract.client_extensions import ExtensionsContract
from tests.contract.client_heartbeats import HeartbeatsContract
from tests.contract.client_identity import IdentityContract
from tests.contract.client_logs import LogsContract
from tests.contract.client_notifications import NotificationsContract
from tests.contract.client_queues import QueuesContract
from tests.contract.client_reading import ReadingContract
from tests.contract.client_running import RunningContract
from tests.contract.client_schedules import SchedulesContract
from tests.contract.client_subscriptions import SubscriptionsContract
from tests.contract.client_why import WhyContract


class ClientSuite(
    EnqueuingContract,
    IdentityContract,
    BatchesContract,
    RunningContract,
    ArgumentsContract,
    CheckpointsContract,
    ExtensionsContract,
    EndsContract,
    LogsContract,
    HeartbeatsContract,
    ControlContract,
    DeadLettersContract,
    QueuesContract,
    ReadingContract,
    EventsContract,
    SchedulesContract,
    NotificationsContract,
    SubscriptionsContract,
    WhyContract,
):
    """Everything that an application can rely on, whatever carries its messages."""
