"""The progress of jobs, and of parts of a whole."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Any

import pytest

from millrace import CheckpointRefused, JobContext, JobStatus, Progress, ProgressRing, ProgressStatus, Snooze
from millrace.testing.contracts.bench import DEADLINE, Bench, working
from millrace.testing.contracts.client_progress import seen
from millrace.testing.contracts.eventually import eventually

AT_ONCE = {"kind": "fixed", "delay": 0.05, "jitter": 0}


class JobProgressContract:
    @pytest.mark.parametrize("how", ["coroutine", "plain"])
    async def test_a_job_tells_its_progress(self, bench: Bench, how: str) -> None:
        async def work(job: JobContext) -> str:
            async with job.progress({"load": 1, "write": 3}, user_id="kim") as progress:
                await progress.update(50, "load")
                await progress.advance()
                for percent in range(100):
                    await progress.update(percent)
            return progress.id

        def plain(job: JobContext) -> str:
            with job.progress({"load": 1, "write": 3}, user_id="kim") as progress:
                progress.update(50, "load")
                progress.advance()
                for percent in range(100):
                    progress.update(percent)
            return progress.id

        bench.app.job("work")(work if how == "coroutine" else plain)
        [job] = await bench.run(await bench.app.jobs.enqueue("work"))
        assert (job.status, job.result) == (JobStatus.COMPLETED, job.id)
        progress = await seen(bench, job.id)
        assert (progress.status, progress.progress, progress.user_id) == (ProgressStatus.COMPLETED, 100, "kim")
        assert progress.metadata == {"job_id": job.id, "job": "work"}
        stages = [event.data["stage"] for event in await history(bench, job.id, "progress.stage_changed")]
        assert stages == ["load", "write"]

    async def test_the_next_attempt_goes_on_with_the_same_progress(self, bench: Bench) -> None:
        found: list[Any] = []

        @bench.app.job(retry=AT_ONCE, max_attempts=2)
        async def work(job: JobContext) -> None:
            async with job.progress(["load", "write"]) as progress:
                found.append((progress.progress, progress.stage, progress.checkpoint_state))
                await progress.update(40, "write")
                await progress.checkpoint({"row": 7})
                if job.attempts == 1:
                    raise OSError("disk full")

        [job] = await bench.run(await bench.app.jobs.enqueue("work"), seconds=1)
        assert (job.status, job.attempts) == (JobStatus.COMPLETED, 2)
        assert found == [(0, None, None), (70, "write", {"row": 7})]
        assert (await seen(bench, job.id)).status is ProgressStatus.COMPLETED
        [failed] = await history(bench, job.id, "progress.failed")
        assert failed.data["error"] == "disk full"
        assert len(await history(bench, job.id, "progress.resumed")) == 1

    @pytest.mark.parametrize("how", ["coroutine", "plain"])
    async def test_many_checkpoints_of_a_progress_become_few_events_and_the_last_is_kept(
        self, bench: Bench, how: str
    ) -> None:
        async def copy(job: JobContext) -> Any:
            async with job.progress() as progress:
                if job.attempt == 1:
                    state: list[int] = []
                    for page in range(300):
                        state.append(page)
                        await progress.checkpoint(state)
                    state.clear()
                    raise ConnectionError("again")
                return progress.checkpoint_state

        def plain(job: JobContext) -> Any:
            with job.progress() as progress:
                if job.attempt == 1:
                    for page in range(300):
                        progress.checkpoint([*range(page + 1)])
                    raise ConnectionError("again")
                return progress.checkpoint_state

        bench.app.job("copy", retry=AT_ONCE)(copy if how == "coroutine" else plain)
        [ended] = await bench.run(await bench.app.jobs.enqueue("copy"), seconds=1)
        assert ended.result == [*range(300)]
        assert 1 <= len(await history(bench, ended.id, "progress.checkpointed")) < 20

    async def test_a_checkpoint_of_a_progress_is_stored_at_once_where_it_must_be(self, bench: Bench) -> None:
        stored: list[Any] = []

        @bench.app.job(max_attempts=1)
        async def copy(job: JobContext) -> None:
            async with job.progress() as progress:
                for page in range(3):
                    await progress.checkpoint(page, force=True)
                    stored.append((await seen(bench, job.id)).checkpoint)
                with pytest.raises(CheckpointRefused):
                    await progress.checkpoint("x" * 65_536)

        [ended] = await bench.run(await bench.app.jobs.enqueue("copy"))
        assert (ended.status, stored) == (JobStatus.COMPLETED, [0, 1, 2])

    async def test_a_job_that_is_left_without_a_result_leaves_its_progress_failed(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        async def broken(job: JobContext) -> None:
            async with job.progress(name="part"):
                raise RuntimeError("no")

        [job] = await bench.run(await bench.app.jobs.enqueue("broken"))
        progress = await seen(bench, f"{job.id}.part")
        assert (progress.status, progress.error) == (ProgressStatus.FAILED, "no")

    async def test_a_job_that_waits_leaves_its_progress_open(self, bench: Bench) -> None:
        @bench.app.job
        async def early(job: JobContext) -> None:
            async with job.progress() as progress:
                await progress.update(30)
                if job.attempt == 1:
                    raise Snooze(0.05)

        [job] = await bench.run(await bench.app.jobs.enqueue("early"), seconds=1)
        assert (await seen(bench, job.id)).status is ProgressStatus.COMPLETED
        assert await history(bench, job.id, "progress.failed") == []
        # The time between the attempts is none of the work's.
        [resumed] = await history(bench, job.id, "progress.resumed")
        assert resumed.data["progress"] == 30

    async def test_an_update_that_makes_no_sense_fails_the_job(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        async def wrong(job: JobContext) -> None:
            async with job.progress(["a"]) as progress:
                await progress.update(5, "b")

        [job] = await bench.run(await bench.app.jobs.enqueue("wrong"))
        assert "there is no stage 'b'" in str(job.error)

    async def test_a_whole_follows_from_its_parts(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="album", children={"expected": 1})
        await tracker.create(id="month", parent_id="album", children={"mode": "mean", "expected": 2})
        for photo, weight in (("p1", 1), ("p2", 3)):
            await tracker.create(id=photo, parent_id="month", weight=weight)
        await tracker.update("p2", 50)
        await standing(bench, "album", 37.5)
        await tracker.complete("p1")
        await standing(bench, "album", 62.5)
        await tracker.fail("p2", "no such file")
        album = await standing(bench, "album", 62.5, ProgressStatus.FAILED)
        assert album.children is not None
        assert (album.children.failed, album.children.total) == (1, 1)
        await tracker.resume("p2")
        await standing(bench, "album", 62.5, ProgressStatus.PROCESSING)
        await tracker.complete("p2")
        await standing(bench, "album", 100, ProgressStatus.COMPLETED)
        assert {each.id for each in await tracker.list(parent_id="month")} == {"p1", "p2"}

    async def test_the_progress_of_a_job_that_is_cancelled_while_it_waits_is_too(self, bench: Bench) -> None:
        @bench.app.job
        async def later(job: JobContext) -> None:
            async with job.progress() as progress, job.progress(name="part"):
                await progress.update(30)
                raise Snooze(3600)

        job = await bench.app.jobs.enqueue("later")
        async with working(bench.app), asyncio.timeout(DEADLINE):
            await eventually(lambda: bench.app.jobs.get(job.id), lambda found: found and found.status == "delayed")
        assert (await seen(bench, job.id)).status is ProgressStatus.PROCESSING
        await bench.app.jobs.cancel(job.id)
        for id in (job.id, f"{job.id}.part"):
            ended = await bench.until(lambda id=id: seen(bench, id), lambda read: read.status != "processing")  # type: ignore[misc]
            assert ended.status is ProgressStatus.CANCELLED

    async def test_a_whole_is_followed_live_while_its_parts_fail_and_go_on(self, bench: Bench) -> None:
        tracker, told = bench.app.progress, list[Progress]()
        await tracker.create(id="album", children={"mode": "mean", "expected": 2})
        tracker.subscribe("album", told.append)
        await bench.until(lambda: asyncio.sleep(0, len(told)), lambda count: count)
        for photo in ("p1", "p2"):
            await tracker.create(id=photo, parent_id="album")
        await tracker.update("p1", 60)
        await standing(bench, "album", 30)
        await tracker.complete("p2")
        await standing(bench, "album", 80)
        await tracker.fail("p1", "disk full")
        await standing(bench, "album", 80, ProgressStatus.FAILED)
        await tracker.resume("p1")
        await tracker.update("p1", 10)
        await standing(bench, "album", 80)
        await tracker.complete("p1")
        await standing(bench, "album", 100, ProgressStatus.COMPLETED)
        await bench.until(lambda: asyncio.sleep(0, told[-1].status), lambda status: status == "completed")
        assert [each.progress for each in told] == sorted(each.progress for each in told)
        statuses = [status for status, _ in groupby(each.status for each in told)]
        assert statuses == ["pending", "processing", "failed", "processing", "completed"]
        failed = next(each for each in told if each.status is ProgressStatus.FAILED)
        assert failed.children is not None
        assert (failed.children.completed, failed.children.failed, failed.children.open) == (1, 1, 0)

    async def test_a_whole_may_count_its_completed_parts(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="album", children={"mode": "count", "expected": 4})
        for photo in ("p1", "p2", "p3"):
            await tracker.create(id=photo, parent_id="album", weight=7)
        await tracker.update("p1", 90)
        await tracker.complete("p2")
        await standing(bench, "album", 25)
        await tracker.complete("p1")
        album = await standing(bench, "album", 50)
        assert album.children is not None
        assert (album.children.completed, album.children.open) == (2, 1)

    async def test_the_progress_of_a_job_is_cancelled_with_it(self, bench: Bench) -> None:
        begun, over = asyncio.Event(), asyncio.Event()

        @bench.app.job
        async def endless(job: JobContext) -> None:
            try:
                async with job.progress(["load", "write"]) as progress:
                    await progress.update(40, "write")
                    begun.set()
                    await asyncio.Event().wait()
            finally:
                over.set()

        job = await bench.app.jobs.enqueue("endless")
        async with working(bench.app), asyncio.timeout(DEADLINE):
            await begun.wait()
            await bench.app.jobs.cancel(job.id, "not needed any more")
            await over.wait()
        ended = await seen(bench, job.id)
        assert (ended.status, ended.error, ended.progress) == (ProgressStatus.CANCELLED, "not needed any more", 70)
        assert ended.stages is not None
        assert [stage.status for stage in ended.stages] == ["completed", "cancelled"]
        assert ended.cancelled_at is not None

    async def test_no_progress_is_a_part_of_itself(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="a", parent_id="b", children="mean")
        await tracker.create(id="b", parent_id="c", children="mean")
        with pytest.raises(ProgressRing, match="a part of itself") as refused:
            await tracker.create(id="c", parent_id="a", children="mean")
        assert refused.value.ring == ("c", "a", "b", "c")
        assert await tracker.get("c") is None
        await tracker.remove("b")
        assert (await tracker.create(id="c", parent_id="a", children="mean")).parent_id == "a"
        with pytest.raises(ProgressRing):
            await tracker.create(id="b", parent_id="c")

    async def test_silence_is_an_event_and_the_next_update_ends_it(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="quiet", stall_after=1)
        await tracker.update("quiet", 10)
        stalled = await bench.until(lambda: seen(bench, "quiet"), lambda read: read.stalled_at is not None)
        assert (stalled.status, stalled.eta) == (ProgressStatus.PROCESSING, None)
        assert [each.id for each in await tracker.list(stalled=True)] == ["quiet"]
        [event] = await history(bench, "quiet", "progress.stalled")
        assert event.data["after"] == 1
        assert (await tracker.update("quiet", 10)).outcome == "recorded"
        assert (await seen(bench, "quiet")).stalled_at is None

    async def test_a_subscriber_sees_the_state_and_every_event(self, bench: Bench) -> None:
        tracker, told = bench.app.progress, list[Progress]()
        done = asyncio.Event()

        def note(progress: Progress) -> None:
            told.append(progress)
            if progress.status is ProgressStatus.COMPLETED:
                done.set()

        await tracker.create(id="a", stages=["x", "y"])
        unsubscribe = tracker.subscribe("a", note)
        await bench.until(lambda: asyncio.sleep(0, len(told)), lambda count: count)
        await tracker.create(id="b")
        await tracker.update("a", 100, "x")
        await tracker.update("a", 10, "y")
        await tracker.complete("a", "fine")
        async with asyncio.timeout(60):
            await done.wait()
        recorded = [each.progress for each in told]
        assert (recorded[0], recorded[-1], recorded) == (0, 100, sorted(recorded))
        assert {each.id for each in told} == {"a"}
        assert [each.stage for each in told if each.version == 3] == ["y"]
        unsubscribe()
        count = len(told)
        await tracker.remove("a")
        await bench.app.events("#", "head").pin()
        assert len(told) == count

    async def test_a_subscriber_sees_the_time_left_as_every_reader_does(self, bench: Bench) -> None:
        tracker, told, percent = bench.app.progress, list[Progress](), 10.0
        await tracker.create(id="a")
        await tracker.update("a", percent)
        unsubscribe = tracker.subscribe("a", told.append)

        async def further() -> Progress | None:
            nonlocal percent
            percent += 0.01
            await tracker.update("a", percent)
            return told[-1] if told else None

        # The third, since the first may be read and not be heard of.
        await bench.until(further, lambda _: len({each.version for each in told if each.rate}) > 2)
        unsubscribe()
        moved = [each for each in told if each.rate is not None]
        assert {each.status for each in moved} == {ProgressStatus.PROCESSING}
        assert [each.version for each in moved if each.eta is None] == []


async def history(bench: Bench, id: str, event_type: str) -> list[Any]:
    return [event for event in await bench.app.history("progress", id) if event.eventtype == event_type]


async def standing(
    bench: Bench, id: str, percent: float, status: ProgressStatus = ProgressStatus.PROCESSING
) -> Progress:
    """The progress, once it stands there."""
    return await bench.until(lambda: seen(bench, id), lambda read: (read.progress, read.status) == (percent, status))
