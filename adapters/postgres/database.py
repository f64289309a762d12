"""Connections to PostgreSQL: one pool for reads, others of their own for whoever must not share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from adapters.postgres.impatience import ImpatientConnection, ImpatientPool

CONNECT_SECONDS = 2.0
QUERY_SECONDS = 2.0
APPEND_SECONDS = 2.0
LEADER_SECONDS = 30.0
# A peer that is gone without a word is noticed within about ten seconds, and its session locks with it.
KEEPALIVE = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}

if TYPE_CHECKING:
    # The stubs make these generic, the library does not.
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Pool, Connection = asyncpg.Pool, asyncpg.Connection


@dataclass(frozen=True, slots=True)
class Database:
    """Where PostgreSQL is.

    Args:
        dsn: `postgresql://…`; holds a password, so it is never logged.
    """

    dsn: str

    def __repr__(self) -> str:
        return "Database(…)"

    async def pool(self, size: int = 8) -> Pool:
        """A pool for short reads; whatever the server does, each fails or succeeds within three seconds."""
        return await ImpatientPool(
            self.dsn,
            min_size=1,
            max_size=size,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            connection_class=ImpatientConnection,
            record_class=asyncpg.Record,
            loop=None,
            timeout=CONNECT_SECONDS,
            command_timeout=QUERY_SECONDS,
            server_settings={"application_name": "millrace", "statement_timeout": "2000", "jit": "off"},
        )

    async def connect(self, command_timeout: float | None = LEADER_SECONDS) -> Connection:
        """A connection of one's own, for a leader, a listener or a maintenance command.

        Args:
            command_timeout: seconds that one statement may take; None sets no bound.
        """
        # A leader that is frozen inside a transaction must not keep its row locked for ever.
        idle = {} if command_timeout is None else {"idle_in_transaction_session_timeout": "10000"}
        return await asyncpg.connect(
            self.dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=command_timeout,
            server_settings={"application_name": "millrace", "jit": "off", **idle, **KEEPALIVE},
        )

    async def connect_writer(self) -> Connection:
        """The flusher's connection: nothing on it may hold the append lock for longer than two seconds."""
        return await asyncpg.connect(
            self.dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=APPEND_SECONDS,
            connection_class=ImpatientConnection,
            server_settings={
                "application_name": "millrace-append",
                # The server gives up before we stop listening to it, so that the outcome is known.
                "lock_timeout": "1500",
                "statement_timeout": "1800",
                "idle_in_transaction_session_timeout": "2000",
                "jit": "off",
                "plan_cache_mode": "force_generic_plan",
                # Every statement here finds few rows by an index. The tables of ready and leased jobs swing between
                # empty and full faster than statistics follow, and a plan made for an empty table scans a full one.
                "enable_seqscan": "off",
                "enable_hashjoin": "off",
                "enable_mergejoin": "off",
                **KEEPALIVE,
            },
        )
