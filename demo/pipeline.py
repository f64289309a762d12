"""The application: jobs over source files. `millrace worker demo.pipeline:app` runs it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

from demo.analysis import SourceFacts, analyze
from demo.summary import PARSE
from millrace import JobContext, Millrace

# So that there is something to see: the files of a part are read in an instant.
READING_SECONDS = 0.05

app = Millrace(os.environ.get("MILLRACE_URL", "http://127.0.0.1:8000"))


@app.job(PARSE)
def parse(root: str, path: str) -> SourceFacts:
    """Analyzes one source file; one that this Python cannot parse fails its attempt."""
    return analyze(path, (Path(root) / path).read_bytes())


@app.job("library.checkpoint")
async def checkpoint() -> dict[str, int]:
    """Notes how far the queue is at the moment it runs; the demo enqueues it with a delay."""
    stats = await app.jobs.stats()
    return {"pending": stats.pending, "processing": stats.processing, "completed": stats.completed}


@app.job("library.cleanup")
async def cleanup() -> None:
    """Stands for work that somebody calls off: the demo enqueues it for later and cancels it."""


class Interrupted(Exception):
    """Raised by a shard's first attempt half way, on purpose."""


@app.job("library.survey")
async def survey() -> None:
    """What the shards come after; there is one at a time, by its unique key."""


@app.job("library.shard", max_attempts=2, retry={"kind": "fixed", "delay": 0.2, "jitter": 0})
async def shard(job: JobContext, root: str, paths: list[str]) -> dict[str, Any]:
    """Adds up the sizes of some files, from where the attempt before had got to."""
    begin = job.checkpoint_state or {"place": 0, "bytes": 0}
    done = begin
    for place in range(begin["place"], len(paths)):
        if job.attempt == 1 and place == len(paths) // 2:
            await job.checkpoint(done)
            raise Interrupted("half of the files are done")
        done = {"place": place + 1, "bytes": done["bytes"] + (Path(root) / paths[place]).stat().st_size}
    return {"resumed_at": begin["place"], "bytes": done["bytes"]}


@app.job("library.report")
async def report(job: JobContext) -> dict[str, int]:
    """What the shards found, together."""
    return {"shards": len(job.parents), "bytes": sum(parent.result["bytes"] for parent in job.parents)}


@app.job("library.index")
async def index(job: JobContext, root: str, paths: list[str], whole: str) -> dict[str, int]:
    """Reads some files and counts their words, and tells how far it has got as a part of the whole."""
    async with job.progress({"read": 3, "count": 1}, parent_id=whole) as progress:
        texts = []
        for place, path in enumerate(paths):
            texts.append(await asyncio.to_thread((Path(root) / path).read_bytes))
            await progress.update(100 * place / len(paths), "read")
            await asyncio.sleep(READING_SECONDS)
        words = Counter[bytes]()
        for place, text in enumerate(texts):
            words.update(text.split())
            await progress.update(100 * place / len(paths), "count")
        return {"files": len(paths), "words": words.total()}


@app.job("library.measure")
def measure(root: str, path: str) -> int:
    """The size of one file."""
    return (Path(root) / path).stat().st_size
