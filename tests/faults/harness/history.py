"""What clients did and saw, one JSON object a line, written before and after every call."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NotRequired, TypedDict


class Accepted(TypedDict):
    """One answer that a client got: the command's id, what it was told, and the position that came with it."""

    command: str
    job_id: str
    name: NotRequired[str]
    tenant: NotRequired[str]
    position: NotRequired[str | None]
    at: NotRequired[float]


class Refusal(TypedDict):
    """A final "no": the command's id, the job it was about, and the problem's code."""

    command: str
    job_id: str
    name: str
    code: str


class Read(TypedDict):
    """What a query that asked for `min_position` answered about one job; `status` is None where it was not found."""

    tenant: str
    job_id: str
    min_position: str
    status: str | None
    attempts: int


class Probe(TypedDict):
    """One question that was asked to see how long its answer takes; `at` is when it was sent, in seconds."""

    server: str
    at: float
    took: float
    status: int | None


class Memory(TypedDict):
    """How much memory one process holds, in bytes; `server` names it with its process id."""

    server: str
    at: float
    resident: int


class Injected(TypedDict):
    """One fault as it happened; `kind` begins with what it hits (`worker.kill`)."""

    kind: str
    at: float
    seconds: float


class History:
    """Appends to a JSONL file; lines are complete even where the test itself is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self.accepted: list[Accepted] = []
        self.refusals: list[Refusal] = []
        self.reads: list[Read] = []
        self.probes: list[Probe] = []
        self.memory: list[Memory] = []
        self.faults: list[Injected] = []
        self.doubtful: set[str] = set()
        self.commands: set[str] = set()

    def sent(self, command: str, **details: Any) -> None:
        self.commands.add(command)
        self._write({"what": "sent", "command": command, **details})

    def answered(self, command: str, job_id: str, **details: Any) -> None:
        line: Accepted = {"command": command, "job_id": job_id, "at": time.time(), **details}  # type: ignore[typeddict-item]
        self.accepted.append(line)
        self._write({"what": "accepted", **line})

    def refused(self, command: str, job_id: str, name: str, code: str) -> None:
        line: Refusal = {"command": command, "job_id": job_id, "name": name, "code": code}
        self.refusals.append(line)
        self._write({"what": "refused", **line})

    def failed(self, command: str, error: Exception, *, doubtful: bool = False) -> None:
        """No final answer; `doubtful` where the command may have been carried out."""
        if doubtful:
            self.doubtful.add(command)
        self._write({"what": "failed", "command": command, "error": repr(error), "doubtful": doubtful})

    def read(self, line: Read) -> None:
        self.reads.append(line)
        self._write({"what": "read", **line})

    def probed(self, line: Probe) -> None:
        self.probes.append(line)
        self._write({"what": "probe", **line})

    def weighed(self, line: Memory) -> None:
        self.memory.append(line)
        self._write({"what": "memory", **line})

    def fault(self, what: str, **details: Any) -> None:
        """Notes what the test did to a server, so that the file alone explains a run."""
        self._write({"what": "fault", "fault": what, **details})

    def injected(self, line: Injected) -> None:
        """Notes a fault that is over."""
        self.faults.append(line)
        self._write({"what": "injected", **line})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps({"at": time.time(), **line}) + "\n")
