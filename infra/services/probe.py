"""Says which of the given addresses answer, with their credentials: `probe.py [--wait SECONDS] url …`.

Prints, per kind of service (`postgres`, `rabbitmq`, `redis`), the first address of that kind that answers. `--wait`
keeps asking until one of each given kind answers. Exit status 0 when every given kind has one. It needs the standard
library only, except for PostgreSQL: asyncpg, else the `psql` command.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import struct
import sys
import time
from urllib.parse import SplitResult, unquote, urlsplit

DEADLINE = 2.0  # seconds for one question: everything asked here is on this machine
KINDS = {"postgresql": "postgres", "postgres": "postgres", "amqp": "rabbitmq", "redis": "redis"}


async def amqp(url: SplitResult) -> bool:
    """Logs in with PLAIN and looks whether the broker goes on to Tune (10, 30)."""
    reader, writer = await asyncio.open_connection(url.hostname, url.port or 5672)
    try:
        writer.write(b"AMQP\x00\x00\x09\x01")
        await frame(reader)
        login = f"\0{unquote(url.username or 'guest')}\0{unquote(url.password or 'guest')}".encode()
        start_ok = struct.pack(">HHI", 10, 11, 0) + b"\x05PLAIN" + struct.pack(">I", len(login)) + login + b"\x05en_US"
        writer.write(struct.pack(">BHI", 1, 0, len(start_ok)) + start_ok + b"\xce")
        return (await frame(reader))[:4] == struct.pack(">HH", 10, 30)
    finally:
        writer.close()


async def frame(reader: asyncio.StreamReader) -> bytes:
    _, _, size = struct.unpack(">BHI", await reader.readexactly(7))
    return (await reader.readexactly(size + 1))[:-1]


async def redis(url: SplitResult) -> bool:
    reader, writer = await asyncio.open_connection(url.hostname, url.port or 6379)
    try:
        if url.password:
            writer.write(f"AUTH {unquote(url.password)}\r\n".encode())
            await reader.readline()
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"+PONG")
    finally:
        writer.close()


async def postgres(url: SplitResult) -> bool:
    """The server must be recent enough, and its user allowed to create databases: every test session makes its own."""
    question = (
        "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolcreatedb OR rolsuper)"
        " AND current_setting('server_version_num')::int >= 150000"
    )
    try:
        import asyncpg
    except ImportError:
        return await psql(url.geturl(), question)
    connection = await asyncpg.connect(url.geturl(), timeout=DEADLINE)
    try:
        return bool(await connection.fetchval(question))
    except asyncpg.PostgresError:
        return False
    finally:
        await connection.close()


async def psql(url: str, question: str) -> bool:
    command = shutil.which("psql")
    if command is None:
        return False
    process = await asyncio.create_subprocess_exec(
        *(command, "--no-psqlrc", "--no-password", "-tAc", question, url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PGCONNECT_TIMEOUT": str(round(DEADLINE))},
    )
    answer, _ = await process.communicate()
    return answer.strip() == b"1"


PROBES = {"postgres": postgres, "rabbitmq": amqp, "redis": redis}


async def answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(DEADLINE):
            return await PROBES[KINDS[parts.scheme]](parts)
    except Exception:  # whatever a stranger on that port answers, it is not the service that we look for
        return False


async def find(urls: list[str], wait: float) -> int:
    kinds = list(dict.fromkeys(KINDS[urlsplit(url).scheme] for url in urls))
    end = time.monotonic() + wait
    while True:
        verdicts = await asyncio.gather(*map(answers, urls))
        found: dict[str, str] = {}
        for url, usable in zip(urls, verdicts, strict=True):
            if usable:
                found.setdefault(KINDS[urlsplit(url).scheme], url)
        if len(found) == len(kinds) or time.monotonic() >= end:
            break
        await asyncio.sleep(0.1)
    for kind, url in found.items():
        print(kind, url)
    return 0 if len(found) == len(kinds) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--wait", type=float, default=0.0)
    parser.add_argument("urls", nargs="+")
    options = parser.parse_args()
    sys.exit(asyncio.run(find(options.urls, options.wait)))
