from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.analysis import analyze
from demo.checks import batch_check, outcome_checks
from demo.sources import SourceFile, plant_broken_file, small_packages, standard_library
from demo.summary import digest, summarize
from demo.work import parse_jobs, plain_loop
from millrace.contracts.job import AttemptError, Enqueue, Job, JobStatus
from millrace.contracts.progress import ChildCounts, Progress, ProgressStatus

START = datetime(2030, 1, 1, tzinfo=UTC)
SOURCE = b'''"""A module."""
import os, json.decoder
from collections import abc
from . import sibling


class Thing:
    """A class."""

    async def act(self):
        import sys


def plain():
    """A function."""
'''


def finished(path: str, facts: Any, **changes: Any) -> Job:
    fields = {
        "id": path,
        "name": "module.parse",
        "data": {"path": path},
        "status": JobStatus.COMPLETED,
        "result": facts,
    }
    times = {"created_at": START, "started_at": START, "completed_at": START + timedelta(seconds=2), "attempts": 1}
    return Job(**{**fields, **times, **changes})


def dead(path: str) -> Job:
    error = AttemptError(attempt=1, type="SyntaxError", message="no", at=START)
    changes = {"status": JobStatus.FAILED, "dead_lettered": True, "attempts": 3, "errors": (error,) * 3, "error": "no"}
    return finished(path, None, **changes)


def test_a_file_is_measured() -> None:
    assert analyze("a.py", SOURCE) == {
        "path": "a.py",
        "bytes": len(SOURCE),
        "lines": 15,
        "functions": 2,
        "classes": 1,
        "documented": 3,
        "documentable": 4,
        "imports": ["collections", "json", "os", "sys"],
    }


def test_a_last_line_without_newline_counts_and_an_empty_file_has_none() -> None:
    assert analyze("a.py", b"a = 1\nb = 2")["lines"] == 2
    assert analyze("a.py", b"")["lines"] == 0


def test_real_source_of_the_standard_library_is_measured() -> None:
    facts = analyze("ast.py", Path(ast.__file__).read_bytes())
    assert facts["classes"] > 10
    assert "sys" in facts["imports"]


@pytest.mark.parametrize("source", [b"print 'hello'\n", b"# coding: uft-8\n", b"\xf6 = 1\n"])
def test_source_that_python_cannot_read_fails(source: bytes) -> None:
    with pytest.raises(SyntaxError):
        analyze("bad.py", source)


def test_the_planted_file_fails_and_says_that_it_is_planted(tmp_path: Path) -> None:
    planted = plant_broken_file(tmp_path)
    assert planted.package == "planted"
    assert plain_loop([planted]) == {"planted/does_not_parse.py": None}


def test_the_standard_library_has_hundreds_of_files_and_nobody_elses() -> None:
    files = standard_library()
    assert len(files) > 400
    assert not any("site-packages" in file.path for file in files)


def test_each_file_becomes_one_valid_job_and_small_packages_go_first() -> None:
    files = [SourceFile("/lib", path) for path in ("big/a.py", "big/b.py", "big/c.py", "big/d.py", "ast.py")]
    assert small_packages(files) == {"ast"}
    jobs = [Enqueue.model_validate(job) for job in parse_jobs(files)]
    assert [job.priority for job in jobs] == [0, 0, 0, 0, 10]
    assert {job.retry.kind for job in jobs} == {"fixed"}


def test_the_summary_adds_up_what_the_jobs_say() -> None:
    facts = analyze("a.py", SOURCE)
    summary = summarize([finished("a.py", facts), finished("b.py", {**facts, "path": "b.py"}), dead("c.py")])
    assert summary.statuses == {"completed": 2, "failed": 1}
    assert (summary.totals.files, summary.totals.lines, summary.totals.functions) == (2, 30, 4)
    assert summary.biggest == [("a.py", 15), ("b.py", 15)]
    assert summary.most_imported[0] == ("collections", 2)
    assert [(letter.path, letter.attempts) for letter in summary.dead_letters] == [("c.py", 3)]
    assert summary.timing.whole == 2


def test_the_digest_sees_every_field_and_no_order() -> None:
    facts = analyze("a.py", SOURCE)
    one, two = finished("a.py", facts), finished("b.py", facts)
    assert digest([one, two]) == digest([two, one])
    assert digest([one]) != digest([one.model_copy(update={"attempts": 2})])


def test_the_checks_hold_for_a_good_run_and_catch_each_fault() -> None:
    facts = analyze("a.py", SOURCE)
    expected = {"a.py": facts, "c.py": None}
    late = START + timedelta(seconds=3.2)
    checkpoint = finished("checkpoint", {}, name="library.checkpoint", started_at=late)
    cleanup = finished("cleanup", None, name="library.cleanup", status=JobStatus.CANCELLED, attempts=0)
    good = [finished("a.py", facts), dead("c.py"), checkpoint, cleanup]
    faults: list[list[Job]] = [
        good[1:],
        [finished("a.py", {**facts, "lines": 1}), *good[1:]],
        [good[0], dead("c.py").model_copy(update={"dead_lettered": False}), *good[2:]],
        [good[0], dead("c.py").model_copy(update={"attempts": 2}), *good[2:]],
        [*good[:2], checkpoint.model_copy(update={"started_at": START}), cleanup],
        [*good[:3], cleanup.model_copy(update={"attempts": 1})],
        [*good, finished("a.py", facts, id="again")],
    ]
    assert all(check.holds for check in outcome_checks(good, expected, "checkpoint", "cleanup"))
    for jobs in faults:
        assert not all(check.holds for check in outcome_checks(jobs, expected, "checkpoint", "cleanup"))


def test_the_batch_is_compared_with_what_a_plain_loop_says() -> None:
    expected = {"a.py": analyze("a.py", SOURCE), "b.py": analyze("b.py", SOURCE), "c.py": None, "d.py": None}

    def counted(progress: float = 50, **more: int) -> Progress:
        counts = {"total": 4, "open": 0, "completed": 2, "failed": 2, "cancelled": 0} | more
        children = ChildCounts.model_validate({"mode": "jobs", **counts})
        return Progress(
            id="b", version=9, status=ProgressStatus.FAILED, progress=progress, children=children,
            created_at=START, updated_at=START,
        )  # fmt: skip

    assert batch_check(counted(), expected).holds
    for whole in (
        counted(49), counted(total=5), counted(completed=3), counted(failed=1),
        counted().model_copy(update={"children": None}),
    ):  # fmt: skip
        assert not batch_check(whole, expected).holds
