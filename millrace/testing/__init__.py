"""Testing an application without a server: Millrace in memory, on a clock that the test moves.

    app = MillraceTest()
    job = await app.jobs.enqueue("send", {"to": "a@example.org"}, delay=3600)
    await app.run_jobs(advance=3600)
    assert (await app.jobs.get(job.id)).status == "completed"

`in_memory(app)` puts an application that exists already on it. pytest finds the fixtures `millrace_app` and `run_jobs`
by itself.
"""

from __future__ import annotations

from millrace.testing.app import MillraceTest, in_memory
from millrace.testing.clock import VirtualClock
from millrace.testing.memory import InMemory
from millrace.testing.running import EndlessWork

__all__ = ["EndlessWork", "InMemory", "MillraceTest", "VirtualClock", "in_memory"]
