"""Testing an application without a server: Millrace in memory, on a clock that the test moves.

    app = MillraceTest()
    job = await app.jobs.enqueue("send", {"to": "a@example.org"}, delay=3600)
    await app.run_jobs(advance=3600)
    assert (await app.jobs.get(job.id)).status == "completed"

`TestDatabase` runs the real service on an empty folder, for tests that want one. `in_memory(app)` puts an application
that exists already on the one in memory. pytest finds the fixtures `millrace_app` and `run_jobs` by itself.
"""

from __future__ import annotations

from millrace.testing.app import MillraceTest, MockProgressStorage, in_memory
from millrace.testing.clock import VirtualClock
from millrace.testing.database import NotStarted, TestDatabase
from millrace.testing.memory import InMemory
from millrace.testing.running import EndlessWork

__all__ = [
    "EndlessWork",
    "InMemory",
    "MillraceTest",
    "MockProgressStorage",
    "NotStarted",
    "TestDatabase",
    "VirtualClock",
    "in_memory",
]
