"""The blocking connection behind `delay` and `get`: one for each process, made when it is first needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from millrace.client import Millrace
from millrace.sync import Portal

T = TypeVar("T")
Work = Callable[[Millrace], Coroutine[Any, Any, T]]


class Client:
    """Runs coroutines on a twin of the application, from any thread. A forked process gets a connection of its own."""

    def __init__(self, app: Millrace) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._connected: tuple[int, Portal, Millrace] | None = None

    def run(self, work: Work[T]) -> T:
        """What `work` returns, given the application to work with."""
        _, portal, twin = self._connection()
        return portal.run(work(twin))

    def close(self) -> None:
        """Gives the connection up; the next call makes another one."""
        with self._lock:
            connected, self._connected = self._connected, None
        if connected is not None and connected[0] == os.getpid():
            _, portal, twin = connected
            portal.run(twin.close())
            portal.stop()

    def _connection(self) -> tuple[int, Portal, Millrace]:
        with self._lock:
            if self._connected is None or self._connected[0] != os.getpid():
                self._connected = os.getpid(), Portal(), self._app.twin()
            return self._connected
