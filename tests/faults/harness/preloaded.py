"""`python -m tests.faults.harness.preloaded DESCRIPTOR MODULE…`: has imported the modules, and forks on request.

Importing a service takes longer than everything else in its start. A fork of this process has it done. It is asked over
a Unix socket that it inherits, one JSON object a line: `{"program", "arguments", "environment", "folder", "log"}` is
answered with `{"pid"}`, and whenever a child has ended, `{"pid", "code"}` follows. When the other end is closed, it
ends its children and itself, so that nothing outlives whoever asked, not even where that was killed.

It forks before there is an event loop, a thread or a connection, so a child starts with nothing that it could share.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

READ_BYTES = 65_536
FIRST_INHERITED = 3
SET_PARENT_DEATH_SIGNAL = 1


class Preloaded:
    """Answers requests until the socket is closed.

    Args:
        connection: to whoever asks.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._buffer = connection, b""
        # by file descriptor, which is readable once the child has ended
        self._children: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def serve(self) -> Mapping[str, Any] | None:
        """Returns in each child what it is to run, and here None, once the socket is closed."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._children:
                    self._reap(descriptor)
                    continue
                data = self._connection.recv(READ_BYTES)
                if not data:
                    self._end_children()
                    return None
                *requests, self._buffer = (self._buffer + data).split(b"\n")
                for line in requests:
                    request: Mapping[str, Any] = json.loads(line)
                    if self._forked():
                        return request

    def _forked(self) -> bool:
        """Makes a child; True in the child."""
        tasks = len(os.listdir("/proc/self/task"))
        if tasks != 1:
            raise RuntimeError(f"a module started {tasks - 1} threads when it was imported; it cannot be forked")
        starter = os.getpid()
        pid = os.fork()
        if not pid:
            # Who forked it is the only one that can tell how it ended.
            ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != starter:
                # It was killed before the signal was asked for.
                os.kill(os.getpid(), signal.SIGKILL)
            return True
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = pid
        self._poll.register(descriptor, select.POLLIN)
        self._tell({"pid": pid})
        return False

    def _reap(self, descriptor: int) -> None:
        pid = self._children.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._tell({"pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, answer: Mapping[str, int]) -> None:
        # One that has closed the socket meanwhile is noticed by the next read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.sendall(json.dumps(answer).encode() + b"\n")

    def _end_children(self) -> None:
        for pid in self._children.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def become(request: Mapping[str, Any]) -> None:
    """Makes this child what an exec would have made it, and runs the program."""
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    os.closerange(FIRST_INHERITED, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    program = request["program"]
    sys.argv[1:] = request["arguments"]
    # What it imports is there already; the module itself is run, as `-m` does.
    sys.modules.pop(program, None)
    runpy.run_module(program, run_name="__main__", alter_sys=True)


def main() -> None:
    """Imports and serves; a child returns from here when its program does."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        import_module(name)
    # What is imported stays: a child that searched it for garbage would have to copy all of it.
    gc.collect()
    gc.freeze()
    request = Preloaded(connection).serve()
    if request is not None:
        # Python must not close whatever has its number later.
        connection.detach()
        become(request)


if __name__ == "__main__":
    main()
