"""Connections to PostgreSQL: one pool for reads, others of their own for whoever must not share."""

from __future__ import annotations

from collections.abc import Mapping
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
# The commit is not waited for on the disk. What is accepted goes over the flusher's connection, which waits.
FORGETFUL = {"synchronous_commit": "off"}

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

    async def pool(self, size: int = 8, seconds: float = QUERY_SECONDS) -> Pool:
        """A pool for short reads, and for notes that a crash of the server may forget: positions, leases, snapshots.

        Whatever the server does, each statement fails or succeeds within a second more than `seconds`.
        """
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
            command_timeout=seconds,
            server_settings={
                "application_name": "millrace",
                "statement_timeout": str(round(seconds * 1_000)),
                "jit": "off",
                **FORGETFUL,
            },
        )

    async def connect(
        self, command_timeout: float | None = LEADER_SECONDS, settings: Mapping[str, str] = {}
    ) -> Connection:
        """A connection of one's own, for a leader, a listener or a maintenance command.

        Args:
            command_timeout: seconds that one statement may take; None sets no bound.
            settings: of the session, besides the usual ones.
        """
        # A leader that is frozen inside a transaction must not keep its row locked for ever.
        idle = {} if command_timeout is None else {"idle_in_transaction_session_timeout": "10000"}
        return await asyncpg.connect(
            self.dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=command_timeout,
            server_settings={"application_name": "millrace", "jit": "off", **idle, **KEEPALIVE, **settings},
        )

    async def connect_follower(self) -> Connection:
        """For whoever follows the log: rows and position are committed together and come back together by reading on,
        so that a crash of the server may forget the newest of them; only what is in the log must not be forgotten."""
        return await self.connect(settings=FORGETFUL)

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
