"""The ports: what the handlers need from the outside, as protocols and the plain values that pass through them.

The values that are made for every event are named tuples, which cost a third of a frozen dataclass."""

from __future__ import annotations

from domain.ports.appends import (
    Append,
    Appended,
    BatchClosed,
    CommandKey,
    Conflict,
    Duplicate,
    KeyTaken,
    Loaded,
    Outcome,
    Parents,
    ParentsMissing,
    PartOfItself,
    PartTooDeep,
    Rejected,
    UniqueKey,
    Work,
)
from domain.ports.circuits import AttemptCount, CircuitBook, CircuitRow, CircuitSum
from domain.ports.due import DueProgress, DueSchedule, DueSchedules, LeftBehind
from domain.ports.jobs import (
    BatchCounts,
    BatchTally,
    ExpiredJobs,
    FoundJob,
    JobFinder,
    JobLine,
    JobLogs,
    Orphan,
    TrackedBatches,
    Unwanted,
)
from domain.ports.log import Metadata, RecordedEvent, StreamName
from domain.ports.publishing import EventPublisher, Outgoing, PublishFailed
from domain.ports.readers import Clock, Doorbell, Readers
from domain.ports.results import AttemptParts, ResultParts
from domain.ports.store import EventStore, StoreOverloaded, StoreUnavailable
from domain.ports.subscriptions import SubscriptionHold, SubscriptionLeases
from domain.ports.work import ClaimRequest, Granted, GrantedJob, LapsedLease, WaitingJobs, WorkQueue

__all__ = [
    "Append",
    "Appended",
    "AttemptCount",
    "AttemptParts",
    "BatchClosed",
    "BatchCounts",
    "BatchTally",
    "CircuitBook",
    "CircuitRow",
    "CircuitSum",
    "ClaimRequest",
    "Clock",
    "CommandKey",
    "Conflict",
    "Doorbell",
    "DueProgress",
    "DueSchedule",
    "DueSchedules",
    "Duplicate",
    "EventPublisher",
    "EventStore",
    "ExpiredJobs",
    "FoundJob",
    "Granted",
    "GrantedJob",
    "JobFinder",
    "JobLine",
    "JobLogs",
    "KeyTaken",
    "LapsedLease",
    "LeftBehind",
    "Loaded",
    "Metadata",
    "Orphan",
    "Outcome",
    "Outgoing",
    "Parents",
    "ParentsMissing",
    "PartOfItself",
    "PartTooDeep",
    "PublishFailed",
    "Readers",
    "RecordedEvent",
    "Rejected",
    "ResultParts",
    "StoreOverloaded",
    "StoreUnavailable",
    "StreamName",
    "SubscriptionHold",
    "SubscriptionLeases",
    "TrackedBatches",
    "UniqueKey",
    "Unwanted",
    "WaitingJobs",
    "Work",
    "WorkQueue",
]
