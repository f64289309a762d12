"""The application: jobs over source files. `millrace worker demo.pipeline:app` runs it."""

from __future__ import annotations

import os
from pathlib import Path

from demo.analysis import SourceFacts, analyze
from demo.summary import PARSE
from millrace import Millrace

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
