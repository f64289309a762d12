"""Starts processes of the system under test by forking one that has imported everything: `preloaded.py`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

ROOT = Path(__file__).resolve().parents[3]
# A parent of the tests may carry settings of its own; the system under test gets none but ours.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR")
CLOSE_SECONDS = 5.0


def bare_environment() -> dict[str, str]:
    """What every process is started with."""
    inherited = {key: os.environ[key] for key in KEPT if key in os.environ}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


class Child(Protocol):
    """A process that was started, however it was; `returncode` is None while it runs."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...


class StarterGone(ChildProcessError):
    """Raised when the process that forks has ended, and its children with it; `output` is what it said."""

    def __init__(self, program: str, output: str) -> None:
        super().__init__(f"the starter of {program} has ended: {output[-2_000:]}")
        self.output = output


class Forked:
    """A child of the starter, which tells how it ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._over = asyncio.Event()

    async def wait(self) -> int:
        await self._over.wait()
        assert self.returncode is not None
        return self.returncode

    def ended(self, code: int) -> None:
        self.returncode = code
        self._over.set()


class Starter:
    """One process that has imported a program. Start it once, then fork from it; what it forked ends with it.

    Args:
        folder: of the run, for its output.
        program: the module that is run.
        modules: what is imported beside the program, because it imports it only when it runs.
    """

    def __init__(self, folder: Path, program: str, modules: Sequence[str] = ()) -> None:
        self.program = program
        self._modules = (program, *modules)
        self._log = folder / f"starter-of-{program}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._asked: list[asyncio.Future[Forked]] = []
        self._children: dict[int, Forked] = {}

    async def start(self) -> Self:
        """Returns while it still imports; the first fork waits until that is done."""
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        with self._log.open("ab") as log, theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "tests.faults.harness.preloaded", str(theirs.fileno()), *self._modules,
                cwd=ROOT, env=bare_environment(), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._listening = asyncio.create_task(self._listen(reader), name=f"starter of {self.program}")
        return self

    async def fork(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
        """A new process that runs the program, in a session of its own.

        Args:
            arguments: without the program's own name.
            environment: all of it.
            log: file to which its output is added.

        Raises:
            StarterGone: there is no process to fork from any more.
        """
        assert self._writer is not None
        answer: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        request: dict[str, Any] = {
            "program": self.program, "arguments": list(arguments), "environment": dict(environment),
            "folder": str(ROOT), "log": str(log),
        }  # fmt: skip
        self._writer.write(json.dumps(request).encode() + b"\n")
        if self._listening is None or self._listening.done():
            raise StarterGone(self.program, self._output())
        # Whoever is cancelled meanwhile must still learn of the process, or it would outlive what it belongs to.
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """Ends it, and whatever it has forked."""
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                # It still imports, and looks at its socket only afterwards.
                self._process.kill()
                await self._process.wait()
        if self._listening is not None:
            await self._listening

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            async for line in reader:
                answer = json.loads(line)
                if "code" in answer:
                    self._children.pop(answer["pid"]).ended(answer["code"])
                    continue
                child = self._children[answer["pid"]] = Forked(answer["pid"])
                self._asked.pop(0).set_result(child)
        except ConnectionResetError:
            # It ended with a request unread.
            return
        finally:
            self._lost()

    def _lost(self) -> None:
        # They are killed with it.
        for child in self._children.values():
            child.ended(-9)
        for answer in self._asked:
            answer.set_exception(StarterGone(self.program, self._output()))

    def _output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")
