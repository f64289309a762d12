"""The format of an archive's object: gzipped lines of JSON, the first about the rest."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from pydantic_core import from_json, to_json

from domain.archive import Moving
from domain.ports import StreamName

FORMAT = "millrace-archive"
VERSION = 1


class UnreadableArchive(Exception):
    """Raised when an object is no archive that this release can read."""


def archive_file(moving: Moving) -> bytes:
    """The object's content; the same streams make the same bytes."""
    first = moving.streams[0]
    header = {
        "format": FORMAT,
        "version": VERSION,
        "kind": first.kind,
        "tenant": first.tenant,
        "events": len(moving.lines),
    }
    lines = [to_json(header), *(line.encode() for line in moving.lines)]
    return gzip.compress(b"\n".join(lines), compresslevel=6, mtime=0)


def rows_of(content: bytes, stream: StreamName) -> Iterator[str]:
    """The rows of one stream, JSON text each, oldest first.

    Raises:
        UnreadableArchive: a newer release has written the object, or somebody else.
    """
    header, *lines = gzip.decompress(content).decode().split("\n")
    told = from_json(header)
    if told.get("format") != FORMAT or told.get("version") != VERSION:
        raise UnreadableArchive(f"the object is no archive of version {VERSION}: {header[:200]}")
    mark = to_json(stream.text).decode()
    for line in lines:
        # Cheaper than to read them all.
        if mark in line and from_json(line)["originator_id"] == stream.text:
            yield line
