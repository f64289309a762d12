"""Every module of the service. A new one is added here and nowhere else in the composition."""

from __future__ import annotations

from infra.composition import Base, Module
from infra.modules.batches import batches
from infra.modules.circuits import circuits
from infra.modules.events import events
from infra.modules.jobs import jobs
from infra.modules.notifications import notifications
from infra.modules.progress import progress
from infra.modules.queues import queues
from infra.modules.results import results
from infra.modules.schedules import schedules

BUILDERS = (jobs, results, batches, queues, circuits, schedules, progress, notifications, events)


def build_modules(base: Base) -> list[Module]:
    """Builds all of them."""
    return [build(base) for build in BUILDERS]
