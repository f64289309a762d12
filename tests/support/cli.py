"""`millrace`, as somebody at a terminal calls it on a running service."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from typing import Any

from millrace import Millrace


class Cli:
    """The command line and an application, both in the name of a tenant of their own."""

    def __init__(self, url: str) -> None:
        self.url, self.tenant = url, f"t{uuid.uuid4().hex[:12]}"
        self.app = Millrace(url, tenant=self.tenant)

    async def run(self, *arguments: str) -> tuple[int | None, str, str]:
        """The exit code, and what was printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "millrace.cli.main", *arguments, "--url", self.url),
            env={**os.environ, "MILLRACE_TENANT": self.tenant},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()

    async def told(self, *arguments: str) -> dict[str, Any]:
        """What a command prints as JSON."""
        code, output, errors = await self.run(*arguments, "--json")
        assert code == 0, errors
        done: dict[str, Any] = json.loads(output)
        return done

    async def dead(self, name: str, message: str) -> str:
        """A dead letter."""
        job = await self.app.jobs.enqueue(name, max_attempts=1, queue=name)
        await self.app.execute("job.claim", {"worker": "w", "queues": [name]})
        error = {"type": "OSError", "message": message}
        report = {"job_id": job.id, "attempt": 1, "outcome": "failed", "error": error}
        await self.app.execute("job.report", report)
        return job.id

    async def statuses(self, *jobs: str) -> list[str | None]:
        return [await self.app.jobs.get_status(job) for job in jobs]
