"""The commands of `app.progress`, which a job's own progress gives too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from millrace.contracts.progress import Children, Progress, ProgressOptions, ProgressUpdate
from millrace.link import Link
from millrace.progress_stages import Stages, listed


class ProgressCommands:
    """Creates and moves the progress of long work. Nothing ever goes backwards, so that updates may be repeated,
    overtake each other and come late.

    Args:
        link: the connection of the running event loop.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._link, self._last_seq = link, 0

    async def create(
        self,
        options: ProgressOptions | Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        stages: Stages | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        type: str | None = None,
        parent_id: str | None = None,
        weight: float | None = None,
        children: Children | Mapping[str, Any] | str | None = None,
        stall_after: float | None = None,
        message_id: str | None = None,
    ) -> Progress:
        """Creates a progress at 0 percent; one that is there under the id with the same values is returned.

        Args:
            options: all of it in one object, instead of the keywords.
            stages: names in their order, or names with weights.
            parent_id: the progress that this one is a part of, and `weight` what it counts there.
            children: `mean` or `count`, with the number of parts that are expected if it is known: the percent follows
                from the parts.
            stall_after: seconds without an update after which an event says so.

        Raises:
            ValueError: both `options` and keywords.
            Invalid: a value is not acceptable.
            AlreadyExists: another progress has the id.
            ProgressRing: it would be a part of itself.
        """
        keywords = {
            "id": id, "stages": None if stages is None else listed(stages), "metadata": metadata, "user_id": user_id,
            "type": type, "parent_id": parent_id, "weight": weight, "children": children, "stall_after": stall_after,
        }  # fmt: skip
        body = {name: value for name, value in keywords.items() if value is not None}
        if options is not None:
            if body:
                raise ValueError(f"`options` and {', '.join(body)}: give either the object or keywords")
            given = options if isinstance(options, ProgressOptions) else ProgressOptions.model_validate(options)
            body = given.model_dump(exclude_unset=True)
        elif isinstance(children, Children):
            body["children"] = children.model_dump()
        return await self._execute("create", body, message_id)

    async def update(
        self, id: str, progress: float, stage: str | None = None, *, seq: int | None = None, record: bool = False
    ) -> ProgressUpdate:
        """Tells how far the work is. Of many updates about one a second is recorded, and the last one always.

        Args:
            progress: percent of the stage, or of the whole where there are no stages.
            stage: completes the stages before it; default the current one.
            seq: grows with each update; default made from the time.
            record: the work stops here, at least for a while: what leads further is recorded, however soon it comes.

        Returns:
            What is recorded by now, and in `outcome` whether this update was.

        Raises:
            NotFound: there is no such progress.
            Invalid: no percent, or an unknown stage.
        """
        body = {"progress_id": id, "progress": progress, "seq": self._next_seq() if seq is None else seq}
        if stage is not None:
            body["stage"] = stage
        if record:
            body["record"] = True
        answer = await self._link().execute("progress.update", body)
        return ProgressUpdate.model_validate({**answer.result["progress"], "outcome": answer.result["outcome"]})

    async def advance(self, id: str, stage: str | None = None) -> Progress:
        """Completes the current stage and begins the next, or a named later one; the last is only completed.

        Raises:
            Refused: it has ended, has no stages, or the stage lies behind.
        """
        return await self._execute("advance", {"progress_id": id} | ({} if stage is None else {"stage": stage}))

    async def complete(self, id: str, result: Any = None) -> Progress:
        """Ends it with all stages at 100 percent. Repeating changes nothing.

        Raises:
            Refused: it has failed or was canceled.
        """
        return await self._execute("complete", {"progress_id": id, "result": result})

    async def fail(self, id: str, error: BaseException | str, detail: Mapping[str, Any] | None = None) -> Progress:
        """Ends it with an error; it can be resumed. Repeating changes nothing.

        Raises:
            Refused: it is completed or was canceled.
        """
        body: dict[str, Any] = {"progress_id": id, "error": str(error)}
        if isinstance(error, BaseException):
            named = type(error).__qualname__
            body |= {"error": str(error) or named, "error_detail": {"type": named, "message": str(error)}}
        if detail is not None:
            body["error_detail"] = dict(detail)
        return await self._execute("fail", body)

    async def cancel(self, id: str, reason: str | None = None) -> Progress:
        """Ends it because nobody wants it any more. Repeating changes nothing.

        Raises:
            Refused: it is completed or has failed.
        """
        return await self._execute("cancel", {"progress_id": id} | ({} if reason is None else {"reason": reason}))

    async def resume(self, id: str, *, new_attempt: bool = False) -> Progress:
        """Goes on where it failed or was canceled; what is returned has the `checkpoint` that was stored last.

        Args:
            new_attempt: whoever worked on it was lost and could not say so; what passed since does not count into the
                rate. Without it an open one just goes on.

        Raises:
            Refused: it is completed.
        """
        return await self._execute("resume", {"progress_id": id} | ({"new_attempt": True} if new_attempt else {}))

    async def checkpoint(self, id: str, state: Any) -> Progress:
        """Stores what is needed to go on from here, at most 64 KiB of JSON."""
        return await self._execute("checkpoint", {"progress_id": id, "checkpoint": state})

    async def remove(self, id: str, reason: str | None = None) -> None:
        """Takes it out of the read model; the log keeps it."""
        body = {"progress_id": id} | ({} if reason is None else {"reason": reason})
        await self._link().execute("progress.remove", body)

    advance_stage = advance

    async def _execute(self, command: str, body: dict[str, Any], message_id: str | None = None) -> Progress:
        answer = await self._link().execute(f"progress.{command}", body, message_id=message_id)
        return Progress.model_validate(answer.result["progress"])

    def _next_seq(self) -> int:
        """Microseconds, and never the same twice."""
        self._last_seq = max(self._last_seq + 1, time.time_ns() // 1_000)
        return self._last_seq
