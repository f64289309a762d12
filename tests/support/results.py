"""Large results, uploaded as a worker does."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from infra.bootstrap import System
from millrace.contracts.job_result import PART_BYTES
from tests.support.systems import asked, told

CONTENT = b'"' + b"0123456789" * 120_000 + b'"'  # three parts


def parts_of(content: bytes) -> list[bytes]:
    return [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]


def upload_of(grant: Any, part: bytes, total: int = len(CONTENT)) -> dict[str, Any]:
    """The body of `job.upload`."""
    digest, text = hashlib.sha256(part).hexdigest(), b64encode(part).decode()
    return {"job_id": grant["job_id"], "attempt": grant["attempt"], "total": total, "sha256": digest, "content": text}


def reference_to(content: bytes) -> dict[str, Any]:
    """What an attempt reports about a result that it has uploaded."""
    parts = [{"sha256": hashlib.sha256(part).hexdigest(), "size": len(part)} for part in parts_of(content)]
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "parts": parts}


async def uploaded(running: System, grant: Any, content: bytes = CONTENT) -> dict[str, Any]:
    """The reference to a result after it was uploaded."""
    for part in parts_of(content):
        await told(running, "job.upload", upload_of(grant, part, len(content)))
    return reference_to(content)


async def result_of(running: System, job_id: str) -> bytes:
    """The result as it is read."""
    content, part, parts = b"", 0, 1
    while part < parts:
        read = await asked(running, "job.result", {"job_id": job_id, "part": part})
        content += b64decode(read["content"])
        part, parts = part + 1, read["parts"]
    return content


def damage(folder: Path, sha256: str) -> None:
    """Changes one byte of an object."""
    path = next(folder.rglob(sha256))
    path.write_bytes(b"x" + path.read_bytes()[1:])


def lose(folder: Path, sha256: str) -> None:
    """Takes an object away."""
    next(folder.rglob(sha256)).unlink()


def everything_in(folder: Path) -> list[str]:
    """Files and folders."""
    return [str(path) for path in folder.rglob("*")]


def files(folder: Path) -> set[str]:
    """The objects of results by attempt and hash."""
    return {"/".join(path.parts[-2:]) for path in folder.rglob("*") if path.is_file() and "results" in path.parts}
