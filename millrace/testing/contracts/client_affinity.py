"""Jobs that would rather run where the last job of their key ran."""

from __future__ import annotations

import pytest

from millrace import Invalid, Job
from millrace.testing.contracts.bench import Bench


class AffinityContract:
    async def test_a_job_waits_for_the_worker_of_its_key_and_others_pass_it(self, bench: Bench) -> None:
        await warmed(bench, room=2)
        kept = await keyed(bench)
        stranger = await bench.app.jobs.enqueue("n", key="globex", affinity=300)
        indifferent = await bench.app.jobs.enqueue("n", key="acme")
        assert await claimed(bench, "cold", 5) == [stranger.id, indifferent.id]
        why = await bench.app.jobs.why(kept.id)
        assert (why.code, "ran the last job of its key" in why.reason) == ("affinity", True)
        queue = await bench.app.queues.get("default")
        assert queue is not None
        assert (queue.ready, queue.waiting) == (0, {"affinity": 1})
        assert await claimed(bench, "warm", 2) == [kept.id]

    async def test_after_its_time_anybody_takes_it(self, bench: Bench) -> None:
        await warmed(bench, room=2)
        kept = await keyed(bench, affinity=1)
        assert await claimed(bench, "cold") == []
        assert await bench.until(lambda: claimed(bench, "cold"), lambda found: found) == [kept.id]

    async def test_a_worker_that_is_full_or_gone_holds_nothing(self, bench: Bench) -> None:
        await warmed(bench, room=1)
        running = await keyed(bench)
        assert await claimed(bench, "warm") == [running.id]
        more = await keyed(bench)
        assert await claimed(bench, "cold") == [more.id], "the warm one is full"
        await report(bench, more.id)
        waiting = await keyed(bench)
        assert await claimed(bench, "warm") == [], "it is the other one that is warm now"
        await bench.app.execute("job.withdraw", {"worker": "cold"})
        assert await claimed(bench, "warm", 1) == [waiting.id]

    async def test_no_more_jobs_wait_for_a_worker_than_it_could_run(self, bench: Bench) -> None:
        await warmed(bench, room=2)
        jobs = [(await keyed(bench)).id for _ in range(5)]
        assert await claimed(bench, "cold", 9) == jobs[2:]
        assert await claimed(bench, "warm", 9) == jobs[:2]

    async def test_what_waited_for_a_worker_may_be_cancelled(self, bench: Bench) -> None:
        await warmed(bench, room=2)
        kept = await keyed(bench)
        assert await claimed(bench, "cold") == []
        await bench.app.jobs.cancel(kept.id)
        assert await claimed(bench, "warm") == []

    async def test_jobs_of_a_name_have_the_affinity_of_its_decorator_unless_they_say_otherwise(
        self, bench: Bench
    ) -> None:
        @bench.app.job("n", affinity=300)
        async def n() -> None: ...

        enqueue = bench.app.jobs.enqueue
        jobs = {
            300: await enqueue("n", key="acme"),
            20: await enqueue("n", key="acme", affinity=20),
            5: await enqueue("n", key="acme", affinity=True),
        }
        none = [await enqueue("n", key="acme", affinity=False), await enqueue("n"), await enqueue("m", key="acme")]
        for seconds, job in jobs.items():
            assert await affinity_of(bench, job) == seconds
        assert [await affinity_of(bench, job) for job in none] == [None] * 3
        [many] = await bench.app.jobs.enqueue_many([{"name": "n", "key": "acme"}])
        assert await affinity_of(bench, many) == 300
        assert await affinity_of(bench, await n.options(key="acme").enqueue()) == 300
        await bench.app.jobs.schedules.create("hourly", "n", every=3_600)

    async def test_an_affinity_that_the_service_would_refuse_is_refused_at_the_declaration(self, bench: Bench) -> None:
        for seconds in (301, -1):
            with pytest.raises(ValueError, match="affinity must be at most 300 seconds"):
                bench.app.job("n", affinity=seconds)

    async def test_an_affinity_to_no_key_is_refused(self, bench: Bench) -> None:
        with pytest.raises(Invalid, match="give the job a `key`"):
            await bench.app.jobs.enqueue("n", affinity=True)


async def keyed(bench: Bench, affinity: float = 300) -> Job:
    return await bench.app.jobs.enqueue("n", key="acme", affinity=affinity)


async def affinity_of(bench: Bench, job: Job) -> float | None:
    [enqueued, *_] = await bench.app.history("job", job.id)
    seconds: float | None = enqueued.data["affinity"]
    return seconds


async def claimed(bench: Bench, worker: str, slots: int = 1) -> list[str]:
    """The ids of what a worker is granted at once."""
    answer = await bench.app.execute("job.claim", {"worker": worker, "queues": ["default"], "slots": slots})
    return [grant["job_id"] for grant in answer.result["grants"]]


async def report(bench: Bench, job_id: str) -> None:
    await bench.app.execute("job.report", {"job_id": job_id, "attempt": 1, "outcome": "completed"})


async def warmed(bench: Bench, room: int) -> None:
    """The worker `warm` has run a job of the key."""
    first = await keyed(bench)
    assert await claimed(bench, "warm", room) == [first.id]
    await report(bench, first.id)
