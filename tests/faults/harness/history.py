"""What a client did and saw, one JSON object a line, written before and after every call."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TypedDict


class Accepted(TypedDict):
    """One answer that a client got: the command's id and what it was told."""

    command: str
    job_id: str


class History:
    """Appends to a JSONL file; lines are complete even where the test itself is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self.accepted: list[Accepted] = []

    def sent(self, command: str) -> None:
        self._write({"what": "sent", "command": command})

    def answered(self, command: str, job_id: str) -> None:
        self.accepted.append({"command": command, "job_id": job_id})
        self._write({"what": "accepted", "command": command, "job_id": job_id})

    def failed(self, command: str, error: Exception) -> None:
        self._write({"what": "failed", "command": command, "error": repr(error)})

    def fault(self, what: str, **details: Any) -> None:
        """Notes what the test did to a server, so that the file alone explains a run."""
        self._write({"what": "fault", "fault": what, **details})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps({"at": time.time(), **line}) + "\n")
