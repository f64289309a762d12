"""Wakes whoever tails the store, in this process at once and in the others by NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

import asyncpg
import structlog

from adapters.postgres.errors import CONNECTION_ERRORS
from adapters.postgres.followers import Followers

CHANNEL = "millrace"
COALESCE_SECONDS = 0.005
# Who has something to say says it; who has not says that it is there.
SIGN_OF_LIFE_SECONDS = 5.0
ALONE_AFTER_SECONDS = 15.0
# Those who follow the log wait for a burst of commands to be accepted for at most this long, then take as long a turn.
BURST_SECONDS = 0.5
LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 0.05
log = structlog.get_logger("store")


class PostgresDoorbell:
    """Implements `domain.ports.Doorbell` on one connection of its own.

    Rings are hints: they carry the newest position and the kinds of what is new, once for many appends, and a lost one
    costs a polling interval. Commands have the right of way: during a burst of them nobody is woken, for a bounded
    time. Each process says every 5 s that it is there, and at once to one that it has not heard of; one that hears of
    no other keeps its rings to itself.

    Args:
        on_foreign_ring: called when another process has appended something, or begins to listen.
        in_burst: whether commands are being accepted by the hundred right now.
        on_connected: told false when the connection is lost, and true when there is one again: what the server does in
            between, such as a crash, nobody here sees.
        sign_of_life: seconds after which it says that it is there, where it has nothing else to say.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection[asyncpg.Record]]],
        on_foreign_ring: Callable[[], None],
        in_burst: Callable[[], bool] = lambda: False,
        on_connected: Callable[[bool], None] = lambda connected: None,
        sign_of_life: float = SIGN_OF_LIFE_SECONDS,
    ) -> None:
        self._connect, self._on_foreign_ring, self._in_burst = connect, on_foreign_ring, in_burst
        self._on_connected, self._sign_of_life = on_connected, sign_of_life
        self._held_since: float | None = None
        self._open_until = 0.0
        self._followers = Followers()
        self._unannounced: set[str] = set()
        self._others_until = 0.0
        self._heard_until: dict[int, float] = {}
        self._own_pid = 0
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, head: int) -> None:
        self._followers.head = head
        self._task = asyncio.create_task(self._run(), name="doorbell")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def alone(self) -> bool:
        """Whether no other process of the service was heard of lately."""
        return asyncio.get_running_loop().time() >= self._others_until

    def ring(self, position: int, kinds: Collection[str], awaited: bool) -> None:
        """This process has committed up to `position`, events of `kinds`.

        Args:
            awaited: whether somebody waits for an answer to it, who comes before those who follow the log.
        """
        self._followers.rise(position, kinds, awaited)
        self._unannounced.update(kinds)
        if not self.alone:
            self._due.set()

    async def wait(
        self, seen: int, timeout: float, kinds: Collection[str] | None = None, patience: float = PATIENCE_SECONDS
    ) -> int:
        await self._followers.wait(seen, timeout, kinds, patience)
        await self._let_burst_pass()
        return self._followers.head

    async def _let_burst_pass(self) -> None:
        now = asyncio.get_running_loop().time
        while self._in_burst() and now() >= self._open_until:
            self._held_since = self._held_since or now()
            if now() - self._held_since >= BURST_SECONDS:
                self._open_until = now() + BURST_SECONDS
                break
            await asyncio.sleep(LOOK_SECONDS)
        self._held_since = None

    def _heard(self, _: object, pid: int, __: str, payload: object) -> None:
        if pid == self._own_pid:
            return
        position, _space, kinds = str(payload).partition(" ")
        # Claims come before those who follow the log.
        self._on_foreign_ring()
        self._followers.rise(int(position), kinds.split(",") if kinds else None, awaited=False)
        self._note(pid, asyncio.get_running_loop().time())

    def _note(self, pid: int, now: float) -> None:
        """Somebody was heard; one that may have begun to listen just now has to hear at once that it is not alone."""
        if self._heard_until.get(pid, 0.0) <= now:
            self._heard_until = {known: until for known, until in self._heard_until.items() if until > now}
            self._due.set()
        self._others_until = self._heard_until[pid] = now + ALONE_AFTER_SECONDS

    def _lost(self, _: object) -> None:
        self._due.set()
        self._on_connected(False)

    async def _run(self) -> None:
        while True:
            try:
                connection = await self._connect()
                try:
                    connection.add_termination_listener(self._lost)
                    self._on_connected(True)
                    self._own_pid = connection.get_server_pid()
                    await connection.add_listener(CHANNEL, self._heard)
                    # Whatever was rung while nobody listened may have meant work for a held claim.
                    self._on_foreign_ring()
                    await self._announce(connection)
                finally:
                    connection.terminate()
            except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
                # A full queue of notifications is no reason to be deaf for good either.
                log.warning("doorbell lost its connection", action="doorbell_lost", error=repr(error))
            await asyncio.sleep(1)

    async def _announce(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while True:
            if connection.is_closed():
                raise asyncpg.InterfaceError("the connection was closed by the server")
            said = f"{self._followers.head} {','.join(sorted(self._unannounced))}"
            self._unannounced.clear()
            await connection.execute(f"SELECT pg_notify('{CHANNEL}', $1)", said, timeout=5)
            try:
                # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(self._sign_of_life):
                    await self._due.wait()
            except TimeoutError:
                continue
            self._due.clear()
            # Other processes come after whoever waits for an answer of this one.
            await asyncio.sleep(COALESCE_SECONDS)
