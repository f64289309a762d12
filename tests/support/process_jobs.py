"""Handlers that run in processes, which import them from here."""

from __future__ import annotations

import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from millrace import JobContext, Millrace, NonRetryable, RetryAfter

app = Millrace("http://127.0.0.1:9")


class Odd(Exception):
    """An error that cannot be carried over."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} is not {two}")


@app.job(pool="process")
def square(n: int) -> dict[str, int]:
    return {"square": n * n, "process": os.getpid()}


@app.job(pool="process", serializer="typed", max_attempts=1)
def half(n: Decimal, broken: bool = False) -> Any:
    return {n / 2: object() if broken else (n,)}


@app.job(pool="process", max_attempts=2, retry={"kind": "fixed", "delay": 0.05})
def goes_on(job: JobContext) -> Any:
    job.log("begun", level="warning", n=job.attempt)
    if job.attempt == 1:
        job.checkpoint({"page": 3}, force=True)
        job.checkpoint({"page": 4})
        os.kill(os.getpid(), signal.SIGKILL)
    return job.checkpoint_state


@app.job(pool="process", max_attempts=1)
def raises(how: str) -> Any:
    match how:
        case "plain":
            return {}["page"]
        case "odd":
            raise Odd(1, 2)
        case "never":
            raise NonRetryable("no hope")
        case "later":
            raise RetryAfter(60, "busy")
        case _:
            return object()


@app.job(pool="process", timeout=0.2, max_attempts=1)
def endless() -> None:
    while True:
        time.sleep(60)


@app.job(pool="process", max_attempts=1)
def never_ends(mark: str) -> None:
    """Tells its process in a file, and then neither ends nor looks whether it should."""
    written = Path(f"{mark}.new")
    written.write_text(str(os.getpid()))
    written.rename(mark)
    while True:
        time.sleep(60)
