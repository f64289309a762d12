"""A PostgreSQL of a run's own, reached over TCP, that may die, freeze, or lose one of its sessions."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import asyncpg
import psutil

from infra.embedded_binaries import installed_binaries
from infra.embedded_errors import EmbeddedPostgresMissing
from tests.faults.harness import family
from tests.faults.harness.processes import Server, free_port
from tests.faults.harness.waiting import until

USER = "millrace"
DATABASE = "millrace"
BOOT_SECONDS = 40.0
UNAVAILABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)


class PostgresUnavailable(Exception):
    """Raised when no PostgreSQL can be run here; `reason` says why and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def programs() -> Path:
    """The folder of the newest PostgreSQL's programs: Debian's, or those that the Python package brought.

    Raises:
        PostgresUnavailable: there is none.
    """
    debian = {int(folder.parent.name): folder for folder in Path("/usr/lib/postgresql").glob("[0-9]*/bin")}
    if debian:
        return debian[max(debian)]
    try:
        found = installed_binaries()
    except EmbeddedPostgresMissing as error:
        raise PostgresUnavailable("there is no PostgreSQL: apt-get install postgresql") from error
    return found[max(found)]


def server_user() -> pwd.struct_passwd | None:
    """Who runs the server in root's place, because it refuses root; None for an ordinary user, who runs it himself.

    Raises:
        PostgresUnavailable: nobody can.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailable("PostgreSQL refuses root, and there is neither a user 'postgres' nor 'nobody'")


class Postgres(Server):
    """A server on a free port with its data in a folder, which is made and filled at the first start.

    `stop(signal.SIGQUIT)` is an immediate shutdown, `stop()` a fast one. Only what the server itself does to survive
    counts, so nothing is relaxed unless `settings` say so.

    Args:
        folder: of the run; every user must be able to pass through it.
        data: where the data lies, possibly below a volume that can lose its power; `<folder>/<name>` by default.
        settings: lines of postgresql.conf, such as `{"synchronous_commit": "off"}`, kept on later starts.
    """

    def __init__(
        self, folder: Path, *, data: Path | None = None, name: str = "postgres",
        settings: Mapping[str, str | int] | None = None,
    ) -> None:  # fmt: skip
        self.port = free_port()
        self.data = data or folder / name
        self.url = self.url_of(DATABASE)
        self._programs, self._user = programs(), server_user()
        fixed: dict[str, str | int] = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 300,
            "dynamic_shared_memory_type": "mmap",
        }  # fmt: skip
        options = [part for key, value in {**fixed, **(settings or {})}.items() for part in ("-c", f"{key}={value}")]
        command = self._as_user("postgres", "-D", str(self.data), *options)
        super().__init__(name, command, folder, {"LC_ALL": "C.UTF-8"})
        self._frozen: list[psutil.Process] = []
        self._segment: str | None = None

    def url_of(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    async def start(self) -> Self:
        """Returns when it accepts connections, after whatever recovery it needs."""
        fresh = not (self.data / "PG_VERSION").exists()
        if fresh:
            await self._initialise()
        await super().start()
        await until(self.answers, BOOT_SECONDS, f"{self.name} accepts connections")
        self._segment = (self.data / "postmaster.pid").read_text().splitlines()[6].split()[1]
        if fresh:
            await self.create_database(DATABASE)
        return self

    async def create_database(self, name: str) -> str:
        """Makes a database; returns its URL."""
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            raise ValueError(f"{name!r} is no plain database name; use a-z, 0-9 and _")
        connection = await asyncpg.connect(self.url_of("postgres"), timeout=5)
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return self.url_of(name)

    async def kill(self) -> None:
        """kill -9 for the server and all its processes; returns when every one is gone, so that it can start again."""
        if self.running:
            await family.killed(self.pid)
            await self.ended()
        self._frozen = []

    async def close(self) -> None:
        """Leaves nothing of it behind, not even the shared memory that a killed server leaves."""
        self.thaw()
        if self.running:
            with suppress(TimeoutError):
                await self.stop(signal.SIGQUIT)
        elif self._segment is not None:
            remove = await asyncio.create_subprocess_exec(
                "ipcrm", "-m", self._segment, stderr=asyncio.subprocess.DEVNULL
            )
            await remove.wait()

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Asks it to shut down: SIGINT fast, SIGQUIT at once and unclean, SIGTERM when all clients have gone."""
        return await super().stop(number)

    def freeze(self) -> None:
        """Everything of it stands still while its connections stay open, which is what a lost network looks like."""
        self._frozen = family.frozen(self.pid)

    def thaw(self) -> None:
        family.thaw(self._frozen)
        self._frozen = []

    def backend_pids(self) -> list[int]:
        """The processes that serve clients, oldest first."""
        found = []
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess):
                title = " ".join(child.cmdline())
                if re.search(rf"^postgres: {USER} \S+ 127\.0\.0\.1\(", title):
                    found.append((child.create_time(), child.pid))
        return [pid for _, pid in sorted(found)]

    async def kill_backend(self, pid: int | None = None) -> int:
        """kill -9 for one session, the oldest by default, and returns its pid; the server ends all others and recovers.

        Raises:
            LookupError: there is no session.
        """
        pids = self.backend_pids()
        if pid is None and not pids:
            raise LookupError(f"{self.name} serves nobody whose session could be killed")
        chosen = pids[0] if pid is None else pid
        os.kill(chosen, signal.SIGKILL)
        return chosen

    async def _initialise(self) -> None:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._user is not None:
            closed = [folder for folder in self.data.resolve().parents if not folder.stat().st_mode & 0o001]
            if closed:
                raise PostgresUnavailable(f"user {self._user.pw_name!r} cannot enter {closed[0]}: chmod o+x")
            shutil.chown(self.data, self._user.pw_uid, self._user.pw_gid)
        setup = Server("initdb", self._as_user(
            "initdb", "--pgdata", str(self.data), "--username", USER, "--auth=trust", "--encoding=UTF8", "--locale=C",
            "--data-checksums",
        ), self.log.parent, {"LC_ALL": "C.UTF-8"})  # fmt: skip
        await setup.start()
        try:
            if await setup.ended(BOOT_SECONDS) != 0:
                raise ChildProcessError(f"initdb failed: {setup.output()[-3_000:]}")
        finally:
            await setup.close()

    def _as_user(self, program: str, *arguments: str) -> list[str]:
        who = []
        if self._user is not None:
            who = ["setpriv", f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]
        return [*who, str(self._programs / program), *arguments]

    async def answers(self) -> bool:
        """Whether it accepts connections.

        Raises:
            ChildProcessError: it has ended.
        """
        if not self.running:
            raise ChildProcessError(f"{self.name} ended: {self.output()[-3_000:]}")
        with suppress(*UNAVAILABLE):
            connection = await asyncpg.connect(self.url_of("postgres"), timeout=2)
            await connection.close()
            return True
        await asyncio.sleep(0.05)
        return False
