"""The facts of the machine and its servers, without which a figure means nothing."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg

from benchmarks.servers import Servers

SYNCS = 200
COMMITS = 300
SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


def facts(servers: Servers, loads: list[float]) -> dict[str, str]:
    """What the figures were measured on, in words."""
    known = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "fdatasync of 8 KiB": f"{_fdatasync():.2f} ms (median, {tempfile.gettempdir()})",
        "load average": f"{min(loads):.1f} to {max(loads):.1f} before the steps" if loads else "–",
    }
    with psycopg.connect(servers.postgres, autocommit=True) as connection:
        row = connection.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)).fetchone()
        version, *values = row or ()
        settings = ", ".join(f"{name} {value}" for name, value in zip(SETTINGS[1:], values, strict=True))
        known["PostgreSQL"] = f"{version}; {settings}"
        known["commit of one row"] = f"{_commit(connection):.2f} ms (median, one client)"
    with servers.management_api() as api:
        overview = api.get("/overview").raise_for_status().json()
        known["RabbitMQ"] = f"{overview['rabbitmq_version']}, Erlang {overview['erlang_version']}"
    return known


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _fdatasync() -> float:
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(SYNCS):
            file.seek(0)
            file.write(os.urandom(8192))
            file.flush()
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e3


def _commit(connection: psycopg.Connection) -> float:
    """The table is an ordinary one: a temporary one would not be synced."""
    name = f"bench_commits_{os.getpid()}"
    connection.execute(f"CREATE TABLE {name} (n int)")
    try:
        took = []
        for number in range(COMMITS):
            start = time.perf_counter()
            connection.execute(f"INSERT INTO {name} VALUES (%s)", (number,))
            took.append(time.perf_counter() - start)
        return statistics.median(took) * 1e3
    finally:
        connection.execute(f"DROP TABLE {name}")
