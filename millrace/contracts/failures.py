"""What makes two failures the same: a fingerprint of the job's name and of the error without what differs."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

# Words that come and go with the data: ids, addresses, numbers, and whatever is quoted.
_VARIABLE = re.compile(
    r"""
    "[^"\n]*" | '[^'\n]*' | `[^`\n]*`
    | \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b
    | \b0x[0-9a-fA-F]+\b
    | \b(?=[0-9a-f]*[0-9])[0-9a-f]{7,}\b
    | \d+(?:[.,:]\d+)*
    """,
    re.VERBOSE,
)
_FRAME = re.compile(r'^\s*File "(?P<file>[^"\n]+)", line \d+, in (?P<function>\S+)', re.MULTILINE)
LONGEST = 300


class Failure(NamedTuple):
    """What many dead letters can have in common.

    Attributes:
        fingerprint: names it, 16 hexadecimal digits.
        message: first line of the error's message with `*` for what differs from job to job.
        frame: the innermost place of the traceback, `file:function`; empty where there is none.
    """

    fingerprint: str
    name: str
    type: str
    message: str
    frame: str


def failure_of(name: str, type_: str, message: str, traceback: str | None) -> Failure:
    """The failure that an error of a job of that name is an instance of.

    Line numbers and folders do not count, so that a release that moves the code or its place keeps the groups.
    """
    said = _normalised(message)
    frame = _innermost(traceback or "")
    digest = hashlib.sha256("\x00".join((name, type_, said, frame)).encode("utf-8", "surrogatepass")).hexdigest()
    return Failure(digest[:16], name, type_, said, frame)


def _normalised(message: str) -> str:
    first = message.strip().partition("\n")[0][: 10 * LONGEST]
    return " ".join(_VARIABLE.sub("*", first).split())[:LONGEST]


def _innermost(traceback: str) -> str:
    frame = ""
    for found in _FRAME.finditer(traceback):
        file = found["file"].replace("\\", "/").rpartition("/")[2]
        frame = f"{file}:{found['function']}"
    return frame[:LONGEST]
