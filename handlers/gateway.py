"""The one door for every entry point: HTTP, AMQP and in-process callers bring a name, a body and a context."""

from __future__ import annotations

from typing import Protocol

from millrace.contracts.wire import Accepted, Context, Refused, Reply


class Gateway(Protocol):
    """Executes commands and answers queries. Never raises for what a caller did wrong: that is a `Refused`."""

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        """Carries out command `name` (`job.enqueue`); a list as body is a batch with an answer for each item."""
        ...

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        """Answers query `name` (`job.get`); with `min_position` it first waits, 2 s at most, for the read model."""
        ...
