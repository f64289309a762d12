"""Every command, query and event that there is, by name: one entry for each module of contracts."""

from __future__ import annotations

from types import ModuleType

from millrace.contracts import (
    archive,
    batch,
    circuit,
    deadletter,
    event,
    inbox,
    job,
    job_bulk,
    job_graph,
    log,
    notification,
    notification_events,
    notification_reports,
    notification_resend,
    progress,
    queue,
    schedule,
    schedule_events,
    template,
    why,
)
from millrace.contracts.wire import Fact, Message

MODULES: tuple[ModuleType, ...] = (
    job,
    job_bulk,
    job_graph,
    why,
    batch,
    deadletter,
    queue,
    circuit,
    schedule,
    schedule_events,
    progress,
    notification,
    notification_reports,
    notification_resend,
    inbox,
    notification_events,
    template,
    event,
    log,
    archive,
)

COMMANDS: dict[str, type[Message]] = {
    name: model for module in MODULES for name, model in getattr(module, "COMMANDS", {}).items()
}
QUERIES: dict[str, type[Message]] = {
    name: model for module in MODULES for name, model in getattr(module, "QUERIES", {}).items()
}
EVENTS: dict[str, type[Fact]] = {
    name: model for module in MODULES for name, model in getattr(module, "EVENTS", {}).items()
}
# Of those that have had another shape before.
VERSIONS: dict[str, int] = {
    name: version for module in MODULES for name, version in getattr(module, "VERSIONS", {}).items()
}
