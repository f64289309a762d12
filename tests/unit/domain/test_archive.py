"""What an archive records, and what an archived stream answers."""

from __future__ import annotations

import gzip

import pytest
from pydantic_core import to_json

from domain.archive import Archive, Moving, StreamArchived, StreamsArchived
from domain.errors import StreamIsArchived
from domain.job import Job
from domain.ports import StreamName
from domain.storage import StoredObject
from handlers.archive import Record, record
from handlers.archive_file import UnreadableArchive, archive_file, rows_of
from handlers.positions import LogArchived
from handlers.routes import Moment
from tests.controls.clock import NOW

STORED = StoredObject("acme/archive/9f", "9f", 12)
WISH = Record(kind="job", ids=("11", "12"), object=STORED.name, sha256="9f", size=12, events=9, first=3, last=40)
AT = Moment(NOW, "9f", "archive:acme:9f", 0, "e1")


def test_a_record_says_which_streams_are_where() -> None:
    [event] = record(None, WISH, AT).aggregate.collected()
    assert event == StreamsArchived("archive:acme:9f", 1, NOW, "job", ["11", "12"], *STORED, 9, 3, 40)


def test_a_second_record_of_the_same_object_changes_nothing() -> None:
    archive = Archive.replayed(record(None, WISH, AT).aggregate.collected())
    assert archive is not None
    assert record(archive, WISH, AT).aggregate.collected() == []
    assert (archive.ended, archive.object) == (True, STORED.name)


def test_nothing_is_decided_on_an_archived_stream() -> None:
    with pytest.raises(StreamIsArchived, match="acme/archive/9f"):
        Job.replayed([StreamArchived("job:acme:11", 1, NOW, *STORED)])


def row(stream: StreamName, version: int, **more: object) -> str:
    return to_json({"originator_id": stream.text, "originator_version": version, **more}).decode()


def test_an_object_gives_each_stream_its_rows_back() -> None:
    streams = [StreamName("job", "acme", f"{n}") for n in (1, 11)]
    lines = [row(streams[0], 1, note=streams[1].text), row(streams[0], 2), row(streams[1], 1)]
    moving = Moving(streams, lines, 3, 5)
    content = archive_file(moving)
    assert archive_file(moving) == content
    assert [list(rows_of(content, stream)) for stream in streams] == [lines[:2], lines[2:]]
    assert list(rows_of(content, StreamName("job", "acme", "2"))) == []


def test_an_object_of_somebody_else_is_no_archive() -> None:
    with pytest.raises(UnreadableArchive, match="no archive of version 1"):
        list(rows_of(gzip.compress(b'{"format":"millrace-archive","version":2}'), StreamName("job", "acme", "1")))


def test_who_comes_too_late_is_told_where_the_log_is_whole() -> None:
    refusal = LogArchived(3, 40, "e1")
    assert (refusal.code, refusal.extra) == ("gone", {"first": "e1-40"})
    assert "e1-40" in str(refusal)
