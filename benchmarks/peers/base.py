"""What a system must be able to do to take part. Only the standard library, and psycopg where PostgreSQL is asked."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any

DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "")
RABBITMQ_URL = os.environ.get("BENCH_RABBITMQ_URL", "")
REDIS_URL = os.environ.get("BENCH_REDIS_URL", "")
CHUNK = 1_000  # jobs in one bulk call, for peers that have one
WINDOW = 500  # publications in flight, for peers without a bulk call
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "100"))


class Peer(ABC):
    """One system."""

    def reset(self) -> None:  # noqa: B027 - some peers leave nothing behind
        """Leaves no job and no trace of one; makes what must be there first."""

    @abstractmethod
    def connect(self) -> None:
        """Gets the enqueuing side ready."""

    @abstractmethod
    def enqueue(self, numbers: range) -> None:
        """Puts a job for each number into the queue, in the fastest way the system offers that loses none."""

    @abstractmethod
    def enqueue_one(self, number: int) -> Any:
        """Puts one job into the queue; returns what `Observed.is_recorded` knows it by."""

    def close(self) -> None:  # noqa: B027 - some peers keep nothing open
        """Gives up what `connect` made."""

    @abstractmethod
    def worker(self) -> None:
        """Runs jobs until the process is ended."""

    def is_published(self) -> bool:
        """Whether everything that the system announces to others has been announced."""
        return True


class Observed(Peer):
    """One whose jobs' final status can be seen somewhere; `records` says where."""

    records: str

    @abstractmethod
    def observe(self) -> None:
        """Gets the observing side ready: a connection of its own."""

    @abstractmethod
    def recorded_count(self) -> int:
        """How many final statuses are recorded."""

    @abstractmethod
    def is_recorded(self, job: Any) -> bool:
        """Whether this job's final status is recorded."""


class Serving(Peer):
    """One that needs more than workers."""

    @abstractmethod
    def service(self) -> None:
        """Runs what must run besides workers, until the process is ended."""


class PostgresObserver(Observed):
    """Asks for final statuses with two statements."""

    count_sql = ""
    one_sql = ""

    def observe(self) -> None:
        import psycopg

        self.observing = psycopg.connect(DATABASE_URL, autocommit=True, application_name="bench-observer")

    def recorded_count(self) -> int:
        row = self.observing.execute(self.count_sql).fetchone()
        return int(row[0]) if row else 0

    def is_recorded(self, job: Any) -> bool:
        return self.observing.execute(self.one_sql, (job,)).fetchone() is not None


def postgres_has(table: str) -> bool:
    """Whether the peer's database has this table."""
    import psycopg

    with psycopg.connect(DATABASE_URL, autocommit=True) as connection:
        row = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    return row is not None and row[0] is not None


def postgres(*statements: str) -> None:
    """Runs statements in the peer's database."""
    import psycopg

    with psycopg.connect(DATABASE_URL, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


class Loop:
    """An event loop for the enqueuing side, uvloop for everybody."""

    def __init__(self) -> None:
        import uvloop

        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)
