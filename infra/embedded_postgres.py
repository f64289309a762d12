"""A PostgreSQL of our own: made, run, watched and stopped with the service, with nothing to install but a package."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import asyncpg

from infra.embedded_binaries import Binaries, choose_binaries, installed_binaries
from infra.embedded_errors import EmbeddedPostgresFailed
from infra.embedded_folder import DataFolder
from infra.embedded_identity import Identity, server_identity
from infra.embedded_leftovers import stop_leftovers

USER = "millrace"
DATABASE = "millrace"
PORT = 5432
READY_SECONDS = 300.0
READY_POLL_SECONDS = 0.02
FAILED_START_SECONDS = 5.0
LOG_CHECK_SECONDS = 60.0
SERVER_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # the packaged build has pglz alone, which costs more time than it saves
    "wal_compression": "off",
    "shared_buffers": "128MB",
    "max_connections": "60",
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
    "cluster_name": "millrace",
}


class EmbeddedPostgres:
    """One PostgreSQL on one data folder, reachable through a unix socket that only its user can open.

    Acknowledged transactions survive kill -9 of this process and of the server. The server ends with the process that
    started it; `start` must run in a thread that lives as long as the service, because the kernel watches that thread.

    Args:
        data: the folder for everything that must last.
        binaries: programs of PostgreSQL by major version; default: those of the installed package.
    """

    def __init__(self, data: Path, binaries: dict[int, Path] | None = None) -> None:
        self._folder = DataFolder(data)
        self._installed = binaries
        self._socket: Path | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether the server process is there. It may end at any time: see `wait`."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The server's process number, None when it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    async def start(self) -> str:
        """Return the DSN of a server that answers. The same object gives the same DSN until `stop`.

        May be called again after the server ended by itself; a second call while it runs changes nothing. When a first
        start fails the folder is free again, when a later one fails it stays held until `stop`.

        Raises:
            DataFolderInUse: another process works on this folder.
            DataFolderUnusable: the folder cannot be written or its record is damaged.
            PostgresMajorMismatch: the data belongs to a version that is not installed.
            EmbeddedPostgresMissing: no PostgreSQL is installed.
            NoServerUser: this process is root and nobody else can run the server.
            EmbeddedPostgresFailed: it did not start; carries the end of its log.
        """
        self._folder.acquire()
        if self.running:
            return self._dsn(DATABASE)
        restart = self._socket is not None
        try:
            await self._launch()
        except BaseException:
            if restart and self._process is not None:
                await _end(self._process, FAILED_START_SECONDS)
            elif not restart:
                await self.stop()
            raise
        return self._dsn(DATABASE)

    async def wait(self) -> int:
        """Wait until the server ends, by itself or by `stop`; return its exit code. Keeps its log bounded meanwhile.

        Raises:
            RuntimeError: it was never started.
        """
        process = self._process
        if process is None:
            raise RuntimeError("the embedded PostgreSQL was not started")
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOG_CHECK_SECONDS):
                    return await process.wait()
            self._folder.bound_log()

    async def stop(self, timeout: float = 10.0) -> None:
        """End the server and give the folder free. Clients are disconnected, open transactions rolled back.

        Args:
            timeout: seconds for an orderly shutdown; then it is cut off, and recovers at its next start.
        """
        process = self._process
        try:
            if process is not None:
                await _end(process, timeout)
        finally:
            self._process = None
            if self._socket is not None:
                self._folder.remove_socket_folder()
                self._socket = None
            self._folder.release()

    async def _launch(self) -> None:
        folder = self._folder
        installed = self._installed if self._installed is not None else installed_binaries()
        binaries = choose_binaries(installed, folder.recorded_major(), folder.path)
        identity = await asyncio.to_thread(server_identity, binaries.folder, folder.path, folder.cluster)
        await stop_leftovers(folder.cluster)
        folder.discard_unfinished()
        folder.bound_log()
        folder.mark_log()
        if not folder.cluster.exists():
            await self._create_cluster(binaries, identity)
        folder.record_major(binaries.major)
        if self._socket is None or not self._socket.is_dir():
            self._socket = folder.new_socket_folder()
            identity.own(self._socket)
        settings = SERVER_SETTINGS | {"unix_socket_directories": str(self._socket)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = await self._run(
            identity.command(binaries.folder / "postgres", "-D", str(folder.cluster), *options)
        )
        await self._ready(self._process)

    async def _create_cluster(self, binaries: Binaries, identity: Identity) -> None:
        folder = self._folder
        folder.unfinished.mkdir(mode=0o700)
        identity.own(folder.unfinished)
        # everyone who can open the socket is its user already, and a user namespace has no names to compare
        trust = ("--auth-local=trust", "--auth-host=reject")
        text = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        create = ("-D", str(folder.unfinished), f"--username={USER}", "--data-checksums", "--no-instructions")
        code = await (await self._run(identity.command(binaries.folder / "initdb", *create, *trust, *text))).wait()
        if code != 0:
            raise EmbeddedPostgresFailed(f"could not create its data (exit code {code})", folder.log, folder.log_tail())
        folder.finish_cluster()

    async def _run(self, command: list[str]) -> asyncio.subprocess.Process:
        # PG* variables of the surroundings would change ports, paths and options
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        log = os.open(self._folder.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # a session of its own: Ctrl-C in the terminal is for us, who stop the server last
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(log)

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        connection = await self._first_connection(process)
        try:
            if not await connection.fetchval("select true from pg_database where datname = $1", DATABASE):
                await connection.execute(f"create database {DATABASE}")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._fail(f"could not create its database ({error})")
        finally:
            await connection.close()

    async def _first_connection(self, process: asyncio.subprocess.Process) -> asyncpg.Connection:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_SECONDS
        while True:
            try:
                return await asyncpg.connect(self._dsn("postgres"), timeout=5)
            except (OSError, asyncpg.CannotConnectNowError, TimeoutError):
                if process.returncode is not None:
                    self._fail(f"did not start (exit code {process.returncode})")
                if loop.time() >= deadline:
                    self._fail(f"did not answer in {READY_SECONDS:.0f} s")
                await asyncio.sleep(READY_POLL_SECONDS)

    def _fail(self, what: str) -> NoReturn:
        raise EmbeddedPostgresFailed(what, self._folder.log, self._folder.log_tail())

    def _dsn(self, database: str) -> str:
        # the port is said explicitly because asyncpg would take PGPORT from the surroundings
        return f"postgresql://{USER}@/{database}?host={quote(str(self._socket), safe='/')}&port={PORT}"


async def _end(process: asyncio.subprocess.Process, timeout: float) -> None:
    for number, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, 2.0), (signal.SIGKILL, None)):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
