"""The other end of a worker's process: runs handlers one after another, as its pipe says."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Generator
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from millrace.contracts.job_logs import Level
from millrace.encoding import encode
from millrace.errors import ResultRefused
from millrace.job_context import JobContext, check_level
from millrace.worker_outcomes import clean

LOOK_SECONDS = 1.0


class Task(NamedTuple):
    """One attempt: where the handler is, and the grant. `plain` results come back as JSON, others as they are."""

    module: str
    qualname: str
    grant: dict[str, Any]
    plain: bool


class Log(NamedTuple):
    """A line that the handler logs."""

    level: Level
    message: str
    fields: dict[str, Any]


class Told(NamedTuple):
    """What the handler tells of itself."""

    details: dict[str, Any]


class Save(NamedTuple):
    """A checkpoint; answered with `Saved`."""

    state: Any
    force: bool


class Saved(NamedTuple):
    """What became of a checkpoint."""

    error: Exception | None


class Returned(NamedTuple):
    """What the handler returned, for the worker to write."""

    result: Any


class Failed(NamedTuple):
    """What the handler raised; `error` is it, pickled, where that is possible."""

    kind: str
    message: str
    trace: str
    error: bytes | None


class _Done:
    def __await__(self) -> Generator[None]:
        yield from ()


class _Parent:
    """The worker, as the handler's `job` reaches it; any thread of the handler may."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def save(self, state: object, force: bool) -> Awaitable[None]:
        with self._lock:
            self._pipe.send(Save(state, force))
            answer: Saved = self._pipe.recv()
        if answer.error is not None:
            raise answer.error
        return _Done()

    def tell(self, details: dict[str, Any]) -> None:
        with self._lock:
            self._pipe.send(Told(details))

    def add(self, key: tuple[str, int], level: Level, message: str, fields: dict[str, Any]) -> None:
        plain = {name: _plain(value) for name, value in fields.items()}
        with self._lock:
            self._pipe.send(Log(level, clean(message), plain))


class ProcessJob(JobContext):
    """The job of a handler in a process: what it logs, the worker writes."""

    def __init__(self, grant: dict[str, Any], parent: _Parent) -> None:
        super().__init__(grant)
        self._parent = parent
        self.keep(parent, parent)

    def heartbeat(self, **details: Any) -> None:
        super().heartbeat(**details)
        self._parent.tell(self.untold or {})

    def log(self, message: str, *, level: Level = "info", **fields: Any) -> None:
        check_level(level)
        self._parent.add((self.id, self.attempt), level, message, fields)


def serve(pipe: Connection, parent: int) -> None:
    """Runs until the pipe is closed or the worker is gone."""
    # Ctrl-C in a terminal reaches the whole group; the worker decides what becomes of its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_answer(task, pipe))


def _answer(task: Task, pipe: Connection) -> bytes | Returned | Failed:
    try:
        definition = _definition(task)
        job = ProcessJob(task.grant, _Parent(pipe))
        result = definition.function(**definition.binding.arguments(job))
        if not task.plain:
            pickle.dumps(result)
            return Returned(result)
        try:
            return encode(result)
        except (ValueError, RecursionError) as error:
            raise ResultRefused(f"the result of job {job.name!r} is not JSON: {error}") from error
    except BaseException as error:
        return Failed(type(error).__qualname__, str(error), clean(traceback.format_exc()), _pickled(error))


def _definition(task: Task) -> Any:
    found: Any = import_module(task.module)
    for name in task.qualname.split("."):
        found = getattr(found, name)
    return found.definition


def _pickled(error: BaseException) -> bytes | None:
    try:
        text = pickle.dumps(error)
        pickle.loads(text)  # noqa: S301, it was written on the line above
    except Exception:
        return None
    return text


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | None) else repr(value)


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    sys.stderr.flush()
    os._exit(1)
