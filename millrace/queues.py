"""`app.queues`: in which order jobs run, how many at once and how often, and whether any do."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal

from millrace.contracts.queue import Limit, Queue, Rate
from millrace.errors import NotFound

if TYPE_CHECKING:
    from millrace.client import Millrace

Told = list[Queue]


class Queues:
    """Reads and steers the tenant's queues. What is changed holds in all processes at once."""

    def __init__(self, app: Millrace) -> None:
        self._app = app

    async def configure(
        self,
        name: str,
        *,
        order: Literal["strict", "aging", "fair"] | None = None,
        aging: float | None = None,
        weights: Mapping[str, float] | None = None,
        concurrency: int | EllipsisType | None = ...,
        rate: Rate | Mapping[str, Any] | EllipsisType | None = ...,
        per_name: Mapping[str, Limit | Mapping[str, Any]] | None = None,
        per_key: Limit | Mapping[str, Any] | EllipsisType | None = ...,
    ) -> None:
        """Changes order and limits of a queue. What is not given stays as it is; None takes a limit away.

        Args:
            order: `strict` by priority, `aging` by priority and waiting time, `fair` by priority and key.
            aging: seconds of waiting that a point of priority is worth.
            weights: shares of keys in a fair queue, 1 for those that are not named.
            concurrency: most jobs of the queue that run at a time.
            rate: how often one of them starts, `{"limit": 10, "period": 1}`.
            per_name: `{"concurrency": …, "rate": …}` by name of the job.
            per_key: the same for the jobs of each key.

        Raises:
            Invalid: a value is not acceptable.
        """
        chosen = {"order": order, "aging": aging, "weights": weights, "per_name": per_name}
        limits = {"concurrency": concurrency, "rate": rate, "per_key": per_key}
        given: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
        given |= {key: value for key, value in limits.items() if value is not ...}
        await self._app.link.execute("queue.configure", {"name": name, **given})

    async def pause(self, name: str, reason: str | None = None) -> None:
        """Has no further job of the queue started; those that run go on."""
        body = {"name": name} if reason is None else {"name": name, "reason": reason}
        await self._app.link.execute("queue.pause", body)

    async def resume(self, name: str) -> None:
        """Has jobs of the queue started again."""
        await self._app.link.execute("queue.resume", {"name": name})

    async def drain(self, name: str) -> int:
        """Cancels all jobs that wait in the queue, also for a time or a limit, and returns how many.

        Jobs that run go on, jobs that come meanwhile stay.
        """
        answer = await self._app.link.execute("queue.drain", {"name": name})
        cancelled: int = answer.result["cancelled"]
        return cancelled

    async def get(self, name: str) -> Queue | None:
        """The queue as it is right now, or None where the tenant has none of that name."""
        try:
            answer = await self._app.link.query("queue.get", {"name": name})
        except NotFound:
            return None
        return Queue.model_validate(answer["queue"])

    async def list(self) -> Told:
        """Every queue that was told something or has jobs that wait or run."""
        answer = await self._app.link.query("queue.list", {})
        queues: builtins.list[Queue] = [Queue.model_validate(each) for each in answer["queues"]]
        return queues
