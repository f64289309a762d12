"""The application whose jobs run while the servers around it are killed.

Every handler first adds the line `job attempt` to the file in `FAULTS_RUNS`, in one write, so that a line is there for
each attempt that really ran, whatever happened to its process a moment later.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal

from millrace import JobContext, Millrace

app = Millrace(tenant=os.environ.get("FAULTS_TENANT", "default"))


def note_run(job: JobContext) -> None:
    file = os.open(os.environ["FAULTS_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{job.id} {job.attempt}\n".encode())
    finally:
        os.close(file)


@app.job(name="step")
async def step(job: JobContext, seconds: float = 0.0) -> dict[str, int]:
    note_run(job)
    await asyncio.sleep(seconds)
    return {"attempt": job.attempt}


@app.job(name="blocking-step")
def blocking_step(job: JobContext, seconds: float = 0.0) -> dict[str, int]:
    note_run(job)
    # time.sleep fails where libfaketime is loaded: Python sleeps until a monotonic time, which the library takes apart
    select.select([], [], [], seconds)
    return {"attempt": job.attempt}


@app.job(name="fails-once")
async def fails_once(job: JobContext) -> dict[str, int]:
    note_run(job)
    if job.attempt == 1:
        raise RuntimeError("the first attempt fails")
    return {"attempt": job.attempt}


@app.job(name="counts-on")
async def counts_on(job: JobContext) -> dict[str, int]:
    """Its worker is killed after each step; only what was saved brings it to its end."""
    note_run(job)
    step = (job.checkpoint_state or {"step": 0})["step"]
    if step < 3:
        await job.checkpoint({"step": step + 1}, force=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return {"step": step}


@app.job(name="kills-its-worker")
async def kills_its_worker(job: JobContext) -> None:
    note_run(job)
    os._exit(9)


@app.job(name="always-fails")
async def always_fails(job: JobContext) -> None:
    note_run(job)
    raise RuntimeError(f"attempt {job.attempt} fails like every other")
