"""A database for integration tests, with the whole service on it, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

READY = re.compile(rb"Millrace is ready\s+at\s+(http://\S+),")
READY_SECONDS = 120.0
STOP_SECONDS = 15.0


class NotStarted(RuntimeError):
    """Raised when the service does not start.

    Attributes:
        output: what it said.
    """

    def __init__(self, output: str) -> None:
        super().__init__(f"the service did not start: {output.strip() or 'it said nothing'}")
        self.output = output


class TestDatabase:
    """`async with TestDatabase() as database:` runs `millrace up` on an empty folder, which goes in the end.

    Attributes:
        url: the service's, for `Millrace`, `PostgreSQLProgressStorage` and `NotificationService`.

    Raises:
        NotStarted: the service is not installed (`pip install . ./packaging/server` in a checkout), or does not start.
    """

    # pytest would take it for a test.
    __test__ = False

    def __init__(self) -> None:
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._folder = TemporaryDirectory(prefix="millrace-test-")
        data = Path(self._folder.name) / "data"
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "millrace.cli.main", "up", "--data", str(data), "--port", "0"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        output, told = bytearray(), asyncio.Event()
        self._reading = asyncio.create_task(self._read(output, told))
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                await told.wait()
        if not self.url:
            await self.__aexit__(None, None, None)
            raise NotStarted(output.decode(errors="replace"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reading is not None:
            await self._reading
        self._folder.cleanup()

    async def _read(self, output: bytearray, told: asyncio.Event) -> None:
        """Reads what the service says until it ends, so that it never waits for a reader."""
        assert self._process is not None
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            if self.url:
                continue
            output += line
            found = READY.search(output)
            if found is not None:
                self.url = found[1].decode()
                told.set()
        told.set()
