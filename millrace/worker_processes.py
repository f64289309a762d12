"""Processes for handlers that compute: one attempt each at a time, and killed where a thread could only be asked."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from pydantic_core import from_json

from millrace.errors import ProcessEnded, ProcessFailed
from millrace.job_context import JobContext
from millrace.registry import JobDefinition
from millrace.worker_leases import Key
from millrace.worker_process_child import Failed, Log, Returned, Save, Saved, Task, Told, serve

STOP_SECONDS = 2.0


class _Child:
    """One process, and this side of its pipe."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=serve, args=(other, os.getpid()), name="millrace-process", daemon=True
        )
        self.process.start()
        other.close()

    def end(self) -> None:
        """Ends it, whatever it does."""
        self.process.kill()
        self.process.join(STOP_SECONDS)
        self.pipe.close()


class Processes:
    """As many processes as there was ever work for at the same time; `call` blocks and belongs into a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: dict[Key, _Child] = {}
        self._closed = False

    def call(self, job: JobContext, definition: JobDefinition, plain: bool = True) -> Any:
        """Runs the handler in a process and returns its result.

        Args:
            plain: the result is plain JSON; else whatever a process can hand over.

        Raises:
            ProcessEnded: the process died, or was killed.
            ProcessFailed: the handler raised what cannot be carried over; otherwise that itself is raised.
        """
        key = (job.id, job.attempt)
        child = self._taken(key)
        reusable = False
        try:
            child.pipe.send(Task(definition.function.__module__, definition.function.__qualname__, job.grant(), plain))
            result = self._followed(child.pipe, job)
            reusable = True
            return result
        except (EOFError, OSError) as error:
            child.process.join(STOP_SECONDS)
            raise ProcessEnded(child.process.exitcode) from error
        except _Raised as raised:
            reusable = True
            raise raised.error from raised.cause
        finally:
            self._returned(key, child, reusable)

    def ids(self) -> list[int]:
        """Those of the processes that there are."""
        with self._lock:
            children = [*self._idle, *self._busy.values()]
        return [child.process.pid for child in children if child.process.pid is not None]

    def kill(self, key: Key) -> None:
        """Kills the process of a running attempt."""
        with self._lock:
            child = self._busy.get(key)
        if child is not None:
            child.process.kill()

    def close(self) -> None:
        """Ends all of them."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy.values())
        for child in busy:
            child.process.kill()
        for child in idle:
            child.end()

    def _taken(self, key: Key) -> _Child:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        if child is None or not child.process.is_alive():
            child = _Child()
        with self._lock:
            self._busy[key] = child
        return child

    def _returned(self, key: Key, child: _Child, reusable: bool) -> None:
        with self._lock:
            self._busy.pop(key, None)
            if reusable and not self._closed and child.process.is_alive():
                self._idle.append(child)
                return
        child.end()

    def _followed(self, pipe: Connection, job: JobContext) -> Any:
        while True:
            match pipe.recv():
                case Log(level, message, fields):
                    job.log(message, level=level, **fields)
                case Told(details):
                    job.heartbeat(**details)
                case Save(state, force):
                    pipe.send(_saved(job, state, force))
                case Failed() as failed:
                    raise _Raised(failed)
                case Returned(result):
                    return result
                case bytes() as text:
                    return from_json(text)


class _Raised(Exception):
    """The handler raised in its process."""

    def __init__(self, failed: Failed) -> None:
        self.cause = ProcessFailed(f"in the process:\n{failed.trace}")
        self.error: BaseException = ProcessFailed(f"{failed.kind}: {failed.message}")
        if failed.error is not None:
            self.error = pickle.loads(failed.error)  # noqa: S301, it comes from our own child


def _saved(job: JobContext, state: Any, force: bool) -> Saved:
    try:
        job.checkpoint(state, force=force)
    except Exception as error:
        return Saved(error)
    return Saved(None)
