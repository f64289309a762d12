"""What every work queue does: grants each attempt to one worker, and knows until when it is that worker's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from adapters.contracts.appends import NOW
from domain.batch import KIND as BATCH
from domain.batch import Batch
from domain.job import KIND, Job
from domain.ports import (
    Append,
    Appended,
    ClaimRequest,
    EventStore,
    GrantedJob,
    Metadata,
    StreamName,
    WorkQueue,
)
from projections.work import work_of

T = TypeVar("T")
DEADLINE = 30.0
POLL = 0.02
TENANT = "acme"
POLICY = {"kind": "none", "delay": 1.0, "factor": 1.0, "max_delay": 1.0, "jitter": 0.0}


class QueueBench(Protocol):
    """A work queue, and the store that it stands on; both begin empty, and nothing else works on them.

    Attributes:
        queue: leases last half a second to two seconds, confirmed or not.
    """

    queue: WorkQueue
    store: EventStore


class Workshop:
    """Has jobs and batches recorded as commands do, in the store that a queue stands on."""

    def __init__(self, bench: QueueBench) -> None:
        self._store = bench.store

    async def enqueue(self, id: str, tenant: str = TENANT, **wish: Any) -> None:
        """Stores a new job, with the row that the claims find it by."""
        stream, origin = StreamName(KIND, tenant, id), Metadata(tenant)
        given = {"name": "n", "data": {}, "queue": "default", "priority": 0, "max_attempts": 1, "timeout": 60.0}
        job = Job.enqueue(stream.text, NOW, **{**given, "retry": POLICY, "run_at": None, **wish})
        await self._append(stream, 0, job, origin, None)

    async def act(self, id: str, decide: Callable[[Job], None]) -> None:
        """Stores what a job decides on."""
        stream = StreamName(KIND, TENANT, id)
        loaded = (await self._store.load([stream]))[stream]
        job = Job.replayed(loaded.events)
        assert job is not None
        before, version = job.status, job.version
        decide(job)
        await self._append(stream, version, job, loaded.origin, before)

    async def batch(self, id: str, decide: Callable[[Batch], None] | None = None) -> None:
        """Stores a new batch, or what one decides on."""
        stream = StreamName(BATCH, TENANT, id)
        if decide is None:
            made = Batch.create(stream.text, NOW, name="b", on_complete=None, on_success=None)
            await self._stored(Append(stream, 0, made.collected(), Metadata(TENANT)))
            return
        loaded = (await self._store.load([stream]))[stream]
        batch = Batch.replayed(loaded.events)
        assert batch is not None
        version = batch.version
        decide(batch)
        await self._stored(Append(stream, version, batch.collected(), Metadata(TENANT)))

    async def history(self, id: str) -> list[str]:
        return [event.event_type for event in await self._store.history(StreamName(KIND, TENANT, id))]

    async def _append(self, stream: StreamName, version: int, job: Job, origin: Metadata, before: str | None) -> None:
        await self._stored(Append(stream, version, job.collected(), origin, work=work_of(job, before, origin)))

    async def _stored(self, append: Append) -> None:
        (outcome,) = await self._store.append([append])
        assert isinstance(outcome, Appended), outcome


async def claimed(
    queue: WorkQueue, slots: int = 1, worker: str = "w", wait: float = 0.0, **wish: Any
) -> list[GrantedJob]:
    """What a claim is granted."""
    request = ClaimRequest(wish.pop("tenant", TENANT), worker, wish.pop("queues", ("default",)), slots, wait, **wish)
    async with asyncio.timeout(DEADLINE + wait):
        return list((await queue.claim(request)).jobs)


def ids(jobs: list[GrantedJob]) -> list[str]:
    return [job.job_id for job in jobs]


async def until(look: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
    """What is found once it is as wanted; nothing tells of it, it is the time that passes."""
    async with asyncio.timeout(DEADLINE):
        while not holds(found := await look()):  # noqa: ASYNC110 - nothing tells of the time that passes
            await asyncio.sleep(POLL)
        return found


class WorkQueueContract:
    """The fixture `bench` is a `QueueBench`."""

    async def test_jobs_are_granted_in_their_order_each_once_and_no_more_than_there_is_room(
        self, bench: QueueBench
    ) -> None:
        shop = Workshop(bench)
        for id, priority in (("old", 0), ("low", -3), ("high", 7), ("young", 0)):
            await shop.enqueue(id, priority=priority)
        seen = [ids(await claimed(bench.queue, slots=3)) for _ in range(3)]
        assert seen == [["high", "old", "young"], ["low"], []]

    async def test_a_grant_is_a_start_that_is_stored(self, bench: QueueBench) -> None:
        shop = Workshop(bench)
        await shop.enqueue("a")
        (granted,) = await claimed(bench.queue)
        assert (granted.job_id, granted.attempt, granted.tenant) == ("a", 1, TENANT)
        assert await shop.history("a") == ["job.enqueued", "job.started"]
        await shop.act("a", lambda job: job.give_back(1, "no room", NOW))
        (again,) = await claimed(bench.queue)
        assert again.attempt == 2

    async def test_a_claim_gets_jobs_of_its_tenant_and_its_queues_only(self, bench: QueueBench) -> None:
        shop = Workshop(bench)
        await shop.enqueue("foreign", tenant="globex")
        await shop.enqueue("other", queue="other")
        await shop.enqueue("mail", queue="mail", priority=1)
        await shop.enqueue("own")
        assert ids(await claimed(bench.queue, slots=9, queues=("default", "mail"))) == ["mail", "own"]
        pool = await claimed(bench.queue, slots=9, queues=("default",), tenants=("*",))
        assert [(job.tenant, job.job_id) for job in pool] == [("globex", "foreign")]

    async def test_a_claim_is_held_until_there_is_something(self, bench: QueueBench) -> None:
        claiming = [asyncio.create_task(claimed(bench.queue, worker=f"w{n}", wait=DEADLINE)) for n in range(3)]
        shop = Workshop(bench)
        for id in "abc":
            await shop.enqueue(id)
        granted = [ids(jobs) for jobs in await asyncio.gather(*claiming)]
        assert sorted(granted) == [["a"], ["b"], ["c"]]

    async def test_a_claim_that_is_held_in_vain_ends_with_nothing(self, bench: QueueBench) -> None:
        granted = await bench.queue.claim(ClaimRequest(TENANT, "w", ("default",), 1, 0.05))
        assert list(granted.jobs) == []
        assert granted.held >= 0.05

    async def test_what_nobody_waits_for_any_more_is_granted_to_the_next(self, bench: QueueBench) -> None:
        shop = Workshop(bench)
        claiming = asyncio.create_task(claimed(bench.queue, wait=DEADLINE))
        await asyncio.sleep(0)
        claiming.cancel()
        await asyncio.wait({claiming})
        await shop.enqueue("a")
        assert ids(await claimed(bench.queue, worker="next")) == ["a"]

    async def test_a_worker_that_withdraws_gets_nothing_any_more(self, bench: QueueBench) -> None:
        shop = Workshop(bench)
        claiming = asyncio.create_task(claimed(bench.queue, worker="leaves", wait=DEADLINE))
        await asyncio.sleep(0)

        async def withdrawn() -> bool:
            await bench.queue.withdraw(TENANT, "leaves")
            return claiming.done()

        await until(withdrawn, bool)
        assert await claiming == []
        await shop.enqueue("a")
        assert ids(await claimed(bench.queue, worker="stays")) == ["a"]

    async def test_a_lease_is_renewed_by_who_has_it_alone(self, bench: QueueBench) -> None:
        await Workshop(bench).enqueue("a")
        await claimed(bench.queue, worker="w")
        own, next_one, missing = ("a", 1), ("a", 2), ("missing", 1)
        assert await bench.queue.renew(TENANT, "another", {own: None}) == [own]
        assert await bench.queue.renew("globex", "w", {own: None}) == [own]
        assert await bench.queue.renew(TENANT, "w", {own: '{"step": 1}', next_one: None, missing: None}) == [
            next_one,
            missing,
        ]

    async def test_a_grant_lapses_that_nobody_confirms_and_so_does_one_that_is_not_renewed(
        self, bench: QueueBench
    ) -> None:
        shop, queue = Workshop(bench), bench.queue
        for id in ("silent", "stopped", "ended"):
            await shop.enqueue(id)
        grants = await claimed(queue, slots=3)
        await queue.renew(TENANT, "w", {(job.job_id, job.attempt): None for job in grants if job.job_id != "silent"})
        await shop.act("ended", lambda job: job.complete(1, None, NOW))

        async def lapsed() -> list[tuple[str, int, str, bool]]:
            await queue.beat()
            return [(each.job_id, each.attempt, each.worker, each.confirmed) for each in await queue.lapsed(9)]

        found = await until(lapsed, lambda leases: len(leases) == 2)
        assert sorted(found) == [("silent", 1, "w", False), ("stopped", 1, "w", True)]
        await shop.act("stopped", lambda job: job.lose(1, "w", NOW))
        assert [each[0] for each in await lapsed()] == ["silent"]
        assert await queue.renew(TENANT, "w", {("stopped", 1): None}) == [("stopped", 1)]

    async def test_a_job_that_waits_for_its_time_is_granted_once_that_has_come(self, bench: QueueBench) -> None:
        shop = Workshop(bench)
        assert await bench.queue.move_due() is None
        await shop.enqueue("long-ago")
        await claimed(bench.queue)
        await shop.act("long-ago", lambda job: job.give_back(1, "not yet", NOW, delay=1.0))
        assert await until(bench.queue.move_due, lambda due: due is None) is None
        assert ids(await claimed(bench.queue)) == ["long-ago"]

    async def test_what_waits_for_one_that_has_failed_is_an_orphan_until_it_ends(self, bench: QueueBench) -> None:
        shop = Workshop(bench)
        await shop.enqueue("parent")
        for id, policy in (("child", "cancel"), ("patient", "wait"), ("bold", "run")):
            await shop.enqueue(id, after=["parent"], on_parent_failure=policy)
        (granted,) = await claimed(bench.queue, slots=9)
        assert granted.job_id == "parent"
        error = {"type": "OSError", "message": "broken pipe"}
        await shop.act("parent", lambda job: job.fail(1, error, False, NOW))
        assert [(each.job_id, each.parent_id) for each in await bench.queue.orphans(9)] == [("child", "parent")]
        await shop.act("child", lambda job: job.cancel(None, NOW))
        assert await bench.queue.orphans(9) == []
        assert ids(await claimed(bench.queue, slots=9)) == ["bold"]

    async def test_a_sealed_batch_is_told_of_once_all_of_its_jobs_have_ended(self, bench: QueueBench) -> None:
        shop, queue = Workshop(bench), bench.queue
        await shop.batch("b")
        for id in ("one", "two"):
            await shop.enqueue(id, batch="b")
        await claimed(queue, slots=2)
        await shop.act("one", lambda job: job.complete(1, None, NOW))
        await shop.batch("b", lambda batch: batch.seal(NOW))
        assert await queue.batches(9) == []
        await shop.act("two", lambda job: job.cancel(None, NOW))
        [counts] = await queue.batches(9)
        told = (counts.batch_id, counts.total, counts.completed, counts.failed, counts.cancelled, counts.is_complete)
        assert told == ("b", 2, 1, 0, 1, False)
        await shop.batch("b", lambda batch: _complete(batch))
        assert await queue.batches(9) == []

    async def test_the_unfinished_jobs_of_a_cancelled_batch_are_unwanted(self, bench: QueueBench) -> None:
        shop, queue = Workshop(bench), bench.queue
        await shop.batch("b")
        for id in ("done", "waits", "alone"):
            await shop.enqueue(id, **({} if id == "alone" else {"batch": "b"}))
        await claimed(queue)
        await shop.act("done", lambda job: job.complete(1, None, NOW))
        assert await queue.unwanted(9) == []
        await shop.batch("b", lambda batch: batch.cancel(None, NOW))
        assert [(each.job_id, each.batch_id) for each in await queue.unwanted(9)] == [("waits", "b")]
        await shop.act("waits", lambda job: job.cancel(None, NOW))
        assert await queue.unwanted(9) == []


def _complete(batch: Batch) -> None:
    batch.complete(2, 1, 0, 1, NOW)
