"""Takes parts of results out of the storage that no job needs: its job was removed, or its attempt did not complete."""

from __future__ import annotations

import structlog

from domain.errors import StreamIsArchived, UnreadableHistory
from domain.job import KIND, Job
from domain.ports import AttemptParts, EventStore, Loaded, ResultParts, StoreUnavailable, StreamName
from domain.storage import ObjectStore, ObjectUnavailable
from handlers.job_results import object_of
from handlers.persistence import persistently
from millrace.contracts.job_result import stored_of

SWEEP_SECONDS = 60.0
AGE_SECONDS = 60.0
# Removals are told; this is for those whose events were archived before anybody looked.
KEPT_SECONDS = 86_400.0
PAGE = 500
log = structlog.get_logger("results")


class ResultCleaner:
    """Looks at what attempts have uploaded. Several processes may do so at once: an attempt that is not valid any more
    never becomes so again, and its parts are nobody else's.

    Args:
        age: seconds that parts are left alone after they came.
    """

    def __init__(self, store: EventStore, objects: ObjectStore, parts: ResultParts, age: float = AGE_SECONDS) -> None:
        self._store, self._objects, self._parts, self._age = store, objects, parts, age

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently("results", self._swept, pause=SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Looks at all that is due; returns how many parts have left the storage.

        Raises:
            StoreUnavailable: the database or the storage does not answer; what was not done is due again.
        """
        gone = 0
        while attempts := await self._parts.due(self._age, PAGE):
            streams = {StreamName(KIND, each.tenant, each.job_id) for each in attempts}
            loaded = await self._store.load(list(streams))
            for attempt in attempts:
                gone += await self._look(attempt, loaded.get(StreamName(KIND, attempt.tenant, attempt.job_id)))
        return gone

    async def _swept(self) -> None:
        if gone := await self.sweep():
            log.info("parts of results removed", action="results_swept", parts=gone)

    async def _look(self, attempt: AttemptParts, loaded: Loaded | None) -> int:
        needed, seconds = needed_parts(attempt, loaded)
        kept = attempt._replace(parts=tuple(part for part in attempt.parts if part[0] in needed))
        unwanted = attempt._replace(parts=tuple(part for part in attempt.parts if part[0] not in needed))
        if kept.parts:
            await self._parts.look_later(kept, seconds)
        try:
            for sha256, size in unwanted.parts:
                await self._objects.delete(object_of(*attempt[:3], sha256, size))
        except ObjectUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        if unwanted.parts:
            await self._parts.forget(unwanted)
        return len(unwanted.parts)


def needed_parts(attempt: AttemptParts, loaded: Loaded | None) -> tuple[set[str], float]:
    """Which of the parts are, or may still be, of a result, and in how many seconds that is to be asked again."""
    everything = {sha256 for sha256, _ in attempt.parts}
    try:
        job = None if loaded is None else Job.replayed(loaded.events, loaded.snapshot)  # type: ignore[arg-type]
    except StreamIsArchived:
        return set(), 0.0
    except UnreadableHistory:
        return everything, KEPT_SECONDS
    if job is None or job.removed or job.attempt != attempt.attempt:
        return set(), 0.0
    if job.status == "processing":
        return everything, SWEEP_SECONDS
    stored = stored_of(job.result) if job.status == "completed" else None
    return set() if stored is None else {part.sha256 for part in stored.parts}, KEPT_SECONDS
