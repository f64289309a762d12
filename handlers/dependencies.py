"""What a started job is told about the jobs that it came after."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pydantic_core import to_json

from domain.errors import UnreadableHistory
from domain.job import KIND, Job
from domain.ports import EventStore, Loaded, StreamName
from millrace.contracts.job_result import stored_of

# Of the results of all parents of all jobs that one claim is granted.
RESULT_BYTES = 1_000_000


async def with_parents(store: EventStore, grants: Sequence[dict[str, Any]]) -> None:
    """Adds to each grant that has `after` what became of its parents.

    Results that would be too much are left out, and so are parents whose history this release cannot read.
    """
    children = [grant for grant in grants if "after" in grant]
    if not children:
        return
    streams = {StreamName(KIND, grant["tenant"], job_id) for grant in children for job_id in grant["after"]}
    parents = {}
    for stream, loaded in (await store.load(list(streams))).items():
        with suppress(UnreadableHistory):
            parents[stream.id] = _ended(stream, loaded)
    sizes = {job_id: len(to_json(parent["result"])) for job_id, parent in parents.items()}
    room = RESULT_BYTES
    for grant in children:
        told = []
        for job_id in grant.pop("after"):
            parent = parents.get(job_id)
            if parent is None:
                continue
            if fits := sizes[job_id] <= room:
                room -= sizes[job_id]
            told.append(parent if fits else {**parent, "result": None, "left_out": True})
        grant["parents"] = told


def _ended(stream: StreamName, loaded: Loaded) -> dict[str, Any]:
    snapshot = loaded.snapshot
    job = Job.replayed(loaded.events, snapshot if isinstance(snapshot, Job) else None)
    assert job is not None
    # What is in the storage is larger than all that may come along.
    left_out = stored_of(job.result) is not None
    result = None if left_out else job.result
    return {"job_id": stream.id, "name": job.name, "status": job.status, "result": result, "left_out": left_out}
