"""Owns an embedded PostgreSQL until it is killed: prints its pid and DSN, then each row's number once acknowledged."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncpg

from infra.embedded_postgres import EmbeddedPostgres


async def main(data: Path) -> None:
    """Insert rows for ever."""
    server = EmbeddedPostgres(data)
    dsn = await server.start()
    print(server.pid, dsn, flush=True)
    connection = await asyncpg.connect(dsn)
    await connection.execute("create table if not exists acknowledged (n bigint primary key)")
    n = 0
    while True:
        n += 1
        await connection.execute("insert into acknowledged values ($1)", n)
        print(n, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
