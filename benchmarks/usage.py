"""CPU time and memory of processes, and of the servers on behalf of one database."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import psycopg

BACKENDS = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND application_name <> 'bench-observer' AND pid <> pg_backend_pid()
"""


def tree(pid: int) -> list[psutil.Process]:
    """The process and all that it has started."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_of(processes: list[psutil.Process]) -> float:
    """Seconds of CPU that the processes have used so far."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def memory_of(pid: int) -> float:
    """Resident megabytes of the process and all that it has started."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


@dataclass(slots=True)
class ServerUsage:
    """Seconds of CPU of PostgreSQL's backends of one database, and of the whole broker.

    The broker serves others too, where it is shared: an upper bound. PostgreSQL's background processes are not in it.
    """

    database: str
    rabbitmq: str

    def postgres(self) -> dict[int, float]:
        """By backend, because one that is new has used nothing before."""
        with psycopg.connect(self.database, autocommit=True, application_name="bench-observer") as connection:
            pids = [row[0] for row in connection.execute(BACKENDS)]
        return {pid: cpu_of(tree(pid)) for pid in pids}

    def broker(self) -> float:
        port = urlsplit(self.rabbitmq).port or 5672
        try:
            listening = psutil.net_connections("tcp")
        except psutil.AccessDenied:
            return 0.0
        pids = {each.pid for each in listening if each.status == psutil.CONN_LISTEN and each.laddr.port == port}
        return sum(cpu_of(tree(pid)) for pid in pids if pid)


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """What the backends of `after` used since `before`."""
    return sum(max(0.0, cpu - before.get(pid, 0.0)) for pid, cpu in after.items())
