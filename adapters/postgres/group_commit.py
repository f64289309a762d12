"""Group commit: every append that is waiting goes into one transaction, and the next batch collects meanwhile.

One flusher and one connection per process. The advisory lock comes first in each transaction, so positions are dense
and in commit order whatever the number of processes; a conflict or a repeated command fails only its own append.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import structlog
from eventsourcing.persistence import StoredEvent

from adapters.postgres.append_lock import locked
from adapters.postgres.batch import Batch, Operation, Submission, Unit, next_batch
from adapters.postgres.claimants import Claimants, ServedClaims
from adapters.postgres.database import Connection
from adapters.postgres.errors import CONNECTION_ERRORS
from adapters.postgres.rows import APPEND_AND_GRANT, APPEND_BATCH, ENVELOPE_BYTES, BatchRows
from adapters.postgres.tail import EventTail
from adapters.postgres.verdicts import Verdicts, is_guarded, verdicts
from domain.ports import Append, Appended, Outcome, RecordedEvent, StoreOverloaded, StoreUnavailable

MAX_WAITING = 50_000
ANSWER_SECONDS = 2.0
# So many commands in one flush are a burst, which is over when none like it has come for a while.
BURST_COMMANDS = 100
BURST_SECONDS = 0.02
RECONNECT_SECONDS = 0.2

log = structlog.get_logger("store")


class GroupCommit:
    """The flusher. What it has committed joins the tail, and `on_commit` is told the newest position, the kinds, and
    whether somebody waits for an answer to it."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        tail: EventTail,
        on_commit: Callable[[int, Collection[str], bool], None],
    ) -> None:
        self._connect = connect
        self._tail, self._on_commit = tail, on_commit
        self._units: deque[Unit] = deque()
        self._operations: list[Operation] = []
        self._claimants: Claimants | None = None
        self._burst_until = 0.0
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, claimants: Claimants) -> None:
        self._claimants = claimants
        self._task = asyncio.create_task(self._run(), name="group-commit")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail([*self._units, *self._operations], StoreUnavailable("the service is stopping"))
        if self._connection is not None and not self._connection.is_closed():
            try:
                await self._connection.close(timeout=1)
            except CONNECTION_ERRORS:
                # Its server says no goodbye: the library has dropped the connection.
                log.info("closed without the server", action="closed_hard")

    def in_burst(self) -> bool:
        """Whether commands are being accepted by the hundred."""
        return time.monotonic() < self._burst_until

    def wake(self) -> None:
        """Runs a transaction soon, even where only claims want one."""
        self._wake.set()

    def submit(self, appends: Sequence[tuple[Append, Sequence[StoredEvent]]]) -> Submission:
        """Queues appends for the next transactions.

        Raises:
            StoreOverloaded: too many are waiting already.
            StoreUnavailable: the flusher has been stopped.
        """
        self._must_run()
        if len(self._units) + len(appends) > MAX_WAITING:
            raise StoreOverloaded(f"{len(self._units)} appends are waiting already")
        submission = Submission(len(appends))
        for index, (append, stored) in enumerate(appends):
            size = len(stored[0].state) if len(stored) == 1 else sum(len(row.state) for row in stored)
            self._units.append(Unit(append, stored, size, submission, index))
        self._wake.set()
        return submission

    async def perform(self, run: Callable[[Connection], Awaitable[Any]]) -> Any:
        """Runs `run(connection)` under the append lock, in a transaction that may carry other work too."""
        self._must_run()
        operation = Operation(run, asyncio.get_running_loop().create_future())
        self._operations.append(operation)
        self._wake.set()
        return await operation.done

    def _must_run(self) -> None:
        if self._task is None or self._task.done():
            raise StoreUnavailable("the service is stopping")

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = next_batch(self._units, self._operations)
            self._operations = []
            if self._units or self._operations:
                self._wake.set()
            try:
                await self._commit(batch)
            except asyncio.CancelledError:
                self._fail([*batch.units, *batch.operations], StoreUnavailable("the service is stopping"))
                raise
            except Exception as error:
                # The flusher must outlive whatever its callers bring along: without it every append would hang.
                log.error("a batch failed unexpectedly", action="batch_failed", error=repr(error), exc_info=True)
                self._lost(batch, error)

    async def _commit(self, batch: Batch) -> None:
        try:
            connection = await self._connected()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            unreachable = StoreUnavailable(f"PostgreSQL cannot be reached: {error}")
            self._fail([*batch.units, *batch.operations], unreachable)
            self._fail_waiting(unreachable)
            await asyncio.sleep(RECONNECT_SECONDS)
            self._try_again_for_claims()
            return
        try:
            await self._transaction(connection, batch)
        except asyncpg.UniqueViolationError as error:
            # Somebody was faster with a version or a command: look first who it is, under the lock.
            await (self._try_smaller(batch, error) if batch.checked else self._commit(replace(batch, checked=True)))
        except (*CONNECTION_ERRORS, asyncpg.LockNotAvailableError) as error:
            self._lost(batch, error)
        except Exception as error:
            await self._try_smaller(batch, error)

    async def _transaction(self, connection: Connection, batch: Batch) -> None:
        """A flush is one statement and a transaction by itself, unless something else has to run under the lock too."""
        rows = BatchRows()
        judged = batch.checked or any(is_guarded(unit.append) for unit in batch.units)
        if not judged and not batch.operations:
            lasts = [rows.add(unit.append, unit.stored) for unit in batch.units]
            claims = self._served(batch, rows)
            if not batch.units and claims is None:
                return
            flush = await self._write(connection, rows, claims)
            self._settle(batch, [None] * len(batch.units), lasts, rows, claims, flush)
            return
        found = Verdicts([None] * len(batch.units))
        results: list[Any] = []
        written: asyncpg.Record | None = None
        served: ServedClaims | None = None
        try:
            async with locked(connection):
                for operation in batch.operations:
                    results.append(await operation.run(connection))
                if judged:
                    found = await verdicts(connection, [unit.append for unit in batch.units], all_of_them=batch.checked)
                lasts = [
                    None if outcome is not None else rows.add(unit.append, unit.stored, found.links.get(number, ()))
                    for number, (unit, outcome) in enumerate(zip(batch.units, found.outcomes, strict=True))
                ]
                served = self._served(batch, rows)
                if rows.events or rows.inbox or served is not None:
                    written = await self._write(connection, rows, served)
                if found.ancestry is not None:
                    await found.ancestry.save(connection)
        except BaseException:
            if served is not None and written is not None:
                served.failed()
            raise
        for operation, result in zip(batch.operations, results, strict=True):
            if not operation.done.done():
                operation.done.set_result(result)
        self._settle(batch, found.outcomes, lasts, rows, served, written)

    def _served(self, batch: Batch, rows: BatchRows) -> ServedClaims | None:
        claimants = self._claimants
        if claimants is None or not batch.claims or not claimants.wants(rows.lanes, rows.left):
            return None
        return claimants.rows()

    async def _write(self, connection: Connection, rows: BatchRows, claims: ServedClaims | None) -> asyncpg.Record:
        try:
            if claims is None:
                flush = await connection.fetchrow(APPEND_BATCH, *rows.parameters(), timeout=ANSWER_SECONDS)
            else:
                flush = await connection.fetchrow(
                    APPEND_AND_GRANT, *rows.parameters(), *claims.parameters, rows.id_prefix, timeout=ANSWER_SECONDS
                )
        except BaseException:
            if claims is not None:
                claims.failed()
            raise
        assert flush is not None
        return flush

    def _settle(
        self,
        batch: Batch,
        outcomes: Sequence[Outcome | None],
        lasts: Sequence[int | None],
        rows: BatchRows,
        claims: ServedClaims | None,
        flush: asyncpg.Record | None,
    ) -> None:
        events: list[RecordedEvent] = []
        sizes: list[int] = []
        try:
            if flush is not None:
                events, sizes = self._recorded(rows, claims, flush)
        finally:
            base = flush["base"] if flush else 0
            for unit, outcome, last in zip(batch.units, outcomes, lasts, strict=True):
                unit.settle(outcome or Appended(None if last is None else base + last))
        if events:
            self._tail.extend(events, sizes)
            # Reports are repeated until they are answered, but nobody hurries for that.
            awaited = bool(rows.inbox) or len(events) > len(rows.events)
            self._on_commit(events[-1].position, {event.stream.kind for event in events}, awaited)

    def _recorded(
        self, rows: BatchRows, claims: ServedClaims | None, flush: asyncpg.Record
    ) -> tuple[list[RecordedEvent], list[int]]:
        """The events of a flush and their sizes. Hands out what it granted: whoever waits for work comes first."""
        if len(rows.inbox) >= BURST_COMMANDS:
            self._burst_until = time.monotonic() + BURST_SECONDS
        events, sizes = rows.recorded(flush["base"], flush["at"]), rows.sizes()
        if flush["released"]:
            self._look_for_claims()
        if claims is not None:
            started = claims.granted(flush, rows)
            events += started
            sizes += [ENVELOPE_BYTES] * len(started)
        return events, sizes

    async def _try_smaller(self, batch: Batch, error: Exception) -> None:
        smaller = batch.smaller()
        for each in smaller:
            await self._commit(each)
        if not smaller:
            log.error("append failed", action="append_failed", error=repr(error))
            self._fail([*batch.units, *batch.operations], error)

    def _lost(self, batch: Batch, error: Exception) -> None:
        log.warning("connection to PostgreSQL lost during an append", action="store_connection_lost", error=repr(error))
        self._fail(
            [*batch.units, *batch.operations], StoreUnavailable("the outcome is unknown; repeat with the same id")
        )
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        # Leaving the transaction on the closed connection puts its own error in front of the first one.
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            self._fail_waiting(StoreUnavailable("PostgreSQL does not answer"))
        self._try_again_for_claims()

    def _fail_waiting(self, error: StoreUnavailable) -> None:
        """What came while a dead server was waited for has waited long enough, and would wait as long again."""
        waiting: list[Unit | Operation] = [*self._units, *self._operations]
        self._units.clear()
        self._operations.clear()
        self._fail(waiting, error)

    def _look_for_claims(self) -> None:
        """Jobs became ready that were not in the batch: claims that are held look in the next transaction."""
        if self._claimants is not None:
            self._claimants.stir()

    def _try_again_for_claims(self) -> None:
        """Claims that are held have no append of their own to bring the flusher back to them."""
        if self._claimants is not None and self._claimants.wants(set(), set()):
            self._wake.set()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    def _fail(self, pieces: Sequence[Unit | Operation], error: Exception) -> None:
        for piece in pieces:
            piece.settle(error)
