"""A second, small pipeline: a graph of jobs, a unique key, checkpoints, and a dead letter that is mended.

Each chapter does its part on the running system and returns what must be true of it. A new chapter is a function in
`CHAPTERS`; its jobs stand in `demo.pipeline`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from demo.checks import Check
from demo.sources import SourceFile
from millrace import Graph, JobFailed, Millrace
from millrace.contracts.job import Job, JobStatus

SHARDS = 3
SHARD_FILES = 20
PATIENCE = 60.0
SURVEY = {"key": "survey", "on_conflict": "existing"}
MISTYPED = "ast.pyy"
MENDED = [{"op": "replace", "path": "/path", "value": "ast.py"}]

Chapter = Callable[[Millrace, Sequence[SourceFile]], Awaitable[list[Check]]]


async def tell(app: Millrace, files: Sequence[SourceFile]) -> list[Check]:
    """Plays all chapters, one after the other."""
    return [check for chapter in CHAPTERS for check in await chapter(app, files)]


async def survey(app: Millrace, files: Sequence[SourceFile]) -> list[Check]:
    """One job fans out into shards, whose results come together in a report; every shard is interrupted half way."""
    parts = [list(files[n::SHARDS])[:SHARD_FILES] for n in range(SHARDS)]
    graph = Graph()
    first = graph.add("library.survey", unique=SURVEY, delay=1.0)
    shards = [
        graph.add("library.shard", {"root": part[0].root, "paths": [file.path for file in part]}, after=first)
        for part in parts
    ]
    graph.add("library.report", after=shards)
    jobs = await app.jobs.enqueue_graph(graph)
    again = await app.jobs.enqueue("library.survey", unique=SURVEY)
    await app.jobs.result(jobs[-1].id, PATIENCE)
    ended = await _read(app, jobs)
    return survey_checks(ended, again.id, sum(_size(file) for part in parts for file in part))


def survey_checks(jobs: Sequence[Job], again: str, size: int) -> list[Check]:
    """What must be true of the survey.

    Args:
        jobs: the survey, its shards and the report.
        again: the job that the second wish for a survey was answered with.
        size: bytes of all files.
    """
    first, *shards, report = jobs
    levels = [[first], shards, [report]]
    return [
        Check("a second survey with the same unique key is the first one", again == first.id),
        Check(
            f"{len(jobs)} jobs of one graph each began after those they depend on had ended",
            all(_before(parents, children) for parents, children in pairwise(levels)),
        ),
        Check(
            f"{len(shards)} interrupted jobs went on from their checkpoints",
            all(shard.attempts == 2 and shard.result["resumed_at"] == SHARD_FILES // 2 for shard in shards),
        ),
        Check("their results came together in the report", report.result == {"shards": len(shards), "bytes": size}),
    ]


async def repair(app: Millrace, files: Sequence[SourceFile]) -> list[Check]:
    """A job with a mistyped argument is a dead letter, until somebody mends and retries it."""
    job = await app.jobs.enqueue("library.measure", {"root": files[0].root, "path": MISTYPED}, max_attempts=1)
    failed = await _failed(app, job.id)
    await app.dead_letters.edit(job.id, MENDED, "a letter too many")
    await app.jobs.retry(job.id, "mended")
    size = await app.jobs.result(job.id, PATIENCE)
    [ended] = await _read(app, [job])
    history = await app.history("job", job.id)
    edits = [event.data for event in history if event.eventtype == "job.edited"]
    right = ended.result == size == _size(SourceFile(files[0].root, "ast.py"))
    return repair_checks(failed, ended, right, history[0].data["data"], edits)


def repair_checks(
    failed: Job | None, ended: Job, right: bool, original: Mapping[str, Any], edits: Sequence[Mapping[str, Any]]
) -> list[Check]:
    """What must be true of the mended job.

    Args:
        failed: as it was among the dead letters, if it was.
        ended: as it is at the end.
        right: whether its result is what it should be.
        original: data that it was enqueued with, by its history.
        edits: data of its `job.edited` events.
    """
    mended = ended.status is JobStatus.COMPLETED and not ended.dead_lettered and right
    return [
        Check("a job with a mistyped argument joined the dead letters", failed is not None and failed.dead_lettered),
        Check("mended by a JSON Patch and retried, it completed", mended and ended.data["path"] == "ast.py"),
        Check(
            "its history keeps the original, the patch and the reason",
            original["path"] == MISTYPED
            and [(list(edit["patch"]), edit["reason"]) for edit in edits] == [(MENDED, "a letter too many")],
        ),
    ]


CHAPTERS: tuple[Chapter, ...] = (survey, repair)


async def _failed(app: Millrace, job_id: str) -> Job | None:
    """The job as it is among the dead letters; None where it completes."""
    try:
        await app.jobs.result(job_id, PATIENCE)
    except JobFailed as error:
        return error.job
    return None


async def _read(app: Millrace, jobs: Sequence[Job]) -> list[Job]:
    """The jobs as the read model shows them."""
    found = [await app.jobs.get(job.id) for job in jobs]
    return [job for job in found if job is not None]


def _before(parents: Sequence[Job], children: Sequence[Job]) -> bool:
    ends = [parent.completed_at for parent in parents if parent.completed_at is not None]
    starts = [child.started_at for child in children if child.started_at is not None]
    return len(ends) == len(parents) and len(starts) == len(children) and max(ends) <= min(starts)


def _size(file: SourceFile) -> int:
    return (Path(file.root) / file.path).stat().st_size
