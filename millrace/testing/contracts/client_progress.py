"""Progress: stages, percent, ends, and that nothing goes backwards."""

from __future__ import annotations

import pytest

from millrace import AlreadyExists, Invalid, NotFound, Progress, ProgressOptions, ProgressStatus, Refused
from millrace.testing.contracts.bench import Bench, head


class ProgressContract:
    async def test_work_goes_through_its_stages(self, bench: Bench) -> None:
        tracker = bench.app.progress
        made = await tracker.create(
            id="file-1", stages=["upload", {"name": "transcribe", "weight": 3}], metadata={"file": 1}, user_id="kim"
        )
        assert (made.id, made.status, made.progress, made.stage) == ("file-1", ProgressStatus.PENDING, 0, None)
        begun = await tracker.update("file-1", 0, "upload")
        assert (begun.outcome, begun.status, begun.stage) == ("recorded", ProgressStatus.PROCESSING, "upload")
        await tracker.update("file-1", 100, "upload")
        moved = await tracker.advance_stage("file-1")
        assert (moved.progress, moved.stage, moved.stage_progress) == (25, "transcribe", 0)
        done = await tracker.complete("file-1", {"words": 1200})
        assert (done.status, done.progress, done.result) == (ProgressStatus.COMPLETED, 100, {"words": 1200})
        read = await seen(bench, "file-1")
        assert read.stages is not None
        assert [(stage.name, stage.status, stage.progress) for stage in read.stages] == [
            ("upload", ProgressStatus.COMPLETED, 100),
            ("transcribe", ProgressStatus.COMPLETED, 100),
        ]
        assert all(stage.started_at and stage.completed_at for stage in read.stages)
        assert (read.metadata, read.user_id, read.version) == ({"file": 1}, "kim", done.version)
        assert read.completed_at is not None

    async def test_the_answer_to_a_command_is_what_is_read_then(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="a", stages=["one", "two"])
        for step in (
            tracker.update("a", 30, "one"),
            tracker.update("a", 10, "two"),
            tracker.checkpoint("a", {"page": 3}),
            tracker.fail("a", ValueError("no such page")),
            tracker.resume("a"),
            tracker.cancel("a", "not wanted"),
            tracker.resume("a"),
            tracker.complete("a"),
        ):
            told = await step
            read = await seen(bench, "a")
            shown = read.model_dump(exclude={"eta"})
            assert shown == Progress.model_validate(told.model_dump()).model_dump(exclude={"eta"})

    async def test_nothing_goes_backwards(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="a", stages=["one", "two"])
        await tracker.update("a", 40, "two")
        for percent, stage in ((90, "one"), (39, "two"), (0, None), (40, "two")):
            late = await tracker.update("a", percent, stage)
            assert (late.outcome, late.progress, late.stage, late.stage_progress) == ("sampled", 70, "two", 40)
        await tracker.complete("a")
        assert (await tracker.update("a", 50, "two")).status is ProgressStatus.COMPLETED
        assert (await tracker.complete("a")).version == (await seen(bench, "a")).version

    async def test_a_percent_has_no_more_digits_than_its_stages_make(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="a", stages=[{"name": "one", "weight": 0.1}, {"name": "two", "weight": 0.6}])
        # In floats alone this is 28.000000000000004.
        assert (await tracker.update("a", 16, "two")).progress == 28
        assert (await seen(bench, "a")).progress == 28

    async def test_without_stages_an_update_means_the_whole(self, bench: Bench) -> None:
        made = await bench.app.progress.create(ProgressOptions(metadata={"of": "a job"}))
        assert (await bench.app.progress.update(made.id, 12.5)).progress == 12.5
        assert (await bench.app.progress.update(made.id, 100)).status is ProgressStatus.PROCESSING
        assert (await seen(bench, made.id)).stages is None
        with pytest.raises(Refused):
            await bench.app.progress.advance(made.id)

    async def test_the_newest_of_many_updates_is_recorded_in_the_end(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="busy")
        outcomes = {(await tracker.update("busy", percent / 10)).outcome for percent in range(999)}
        assert outcomes <= {"recorded", "sampled"}
        await bench.until(lambda: seen(bench, "busy"), lambda read: read.progress == 99.8)

    async def test_the_rate_and_the_time_left_follow_from_the_updates(self, bench: Bench) -> None:
        tracker, percent = bench.app.progress, 10.0
        await tracker.create(id="a")
        begun = await tracker.update("a", percent)
        assert (begun.rate, begun.eta) == (None, None)

        async def further() -> Progress:
            nonlocal percent
            percent += 0.01
            await tracker.update("a", percent)
            return await seen(bench, "a")

        moved = await bench.until(further, lambda read: read.rate)
        assert moved.rate is not None
        assert moved.eta is not None
        assert 0 < moved.eta <= (100 - moved.progress) / moved.rate + 0.001
        [listed] = await tracker.list(min_position=await head(bench.app))
        assert listed.eta is not None
        await tracker.complete("a")
        assert (await seen(bench, "a")).eta is None

    async def test_an_id_is_taken_once(self, bench: Bench) -> None:
        tracker = bench.app.progress
        first = await tracker.create(id="a", stages=["x"], metadata={"n": 1})
        await tracker.update("a", 50)
        again = await tracker.create({"id": "a", "stages": ["x"], "metadata": {"n": 1}})
        assert (again.created_at, again.progress) == (first.created_at, 50)
        with pytest.raises(AlreadyExists):
            await tracker.create(id="a", stages=["y"])
        await tracker.remove("a")
        assert await tracker.get("a") is None
        with pytest.raises(NotFound):
            await tracker.update("a", 60)
        anew = await tracker.create(id="a", stages=["y"])
        assert (anew.status, anew.progress) == (ProgressStatus.PENDING, 0)

    async def test_failed_work_is_resumed_from_its_checkpoint(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="a", stages=["one", "two"])
        await tracker.update("a", 50, "two")
        await tracker.checkpoint("a", {"row": 1200})
        failed = await tracker.fail("a", "disk full")
        assert (failed.status, failed.error, failed.stages and failed.stages[1].status) == (
            "failed",
            "disk full",
            "failed",
        )
        assert (await tracker.fail("a", "again")).error == "disk full"
        with pytest.raises(Refused, match="resume"):
            await tracker.complete("a")
        resumed = await tracker.resume("a")
        assert (resumed.status, resumed.checkpoint, resumed.progress, resumed.error) == (
            ProgressStatus.PROCESSING, {"row": 1200}, 75, None,
        )  # fmt: skip
        assert (await tracker.resume("a")).version == resumed.version
        assert (await tracker.complete("a")).status is ProgressStatus.COMPLETED
        with pytest.raises(Refused):
            await tracker.resume("a")

    async def test_an_error_keeps_its_kind(self, bench: Bench) -> None:
        await bench.app.progress.create(id="a")
        failed = await bench.app.progress.fail("a", FileNotFoundError("page 3"))
        assert failed.error == "page 3"
        assert failed.error_detail == {"type": "FileNotFoundError", "message": "page 3"}

    async def test_progress_is_listed_newest_first(self, bench: Bench) -> None:
        tracker = bench.app.progress
        for number, user in enumerate(("kim", "lou", "kim")):
            await tracker.create(id=f"p{number}", user_id=user, type="import")
        await tracker.fail("p0", "no")
        newest = await tracker.list(min_position=await head(bench.app))
        assert [each.id for each in newest] == ["p2", "p1", "p0"]
        assert [each.id for each in await tracker.list(user_id="kim")] == ["p2", "p0"]
        assert [each.id for each in await tracker.list(status="failed", type="import")] == ["p0"]
        assert await tracker.list(stalled=True) == []
        page = await tracker.list_page(limit=2)
        rest = await tracker.list_page(limit=2, cursor=page.cursor)
        assert ([each.id for each in rest.progress], rest.cursor) == (["p0"], None)

    async def test_what_makes_no_sense_is_refused(self, bench: Bench) -> None:
        tracker = bench.app.progress
        await tracker.create(id="a", stages=["one"])
        for wrong in (tracker.update("a", 101), tracker.update("a", -1), tracker.update("a", 5, "three")):
            with pytest.raises(Invalid):
                await wrong
        for options in ({"stages": ["x", "x"]}, {"stages": ["x"], "children": "mean"}, {"weight": 0}):
            with pytest.raises(Invalid):
                await tracker.create(**options)
        with pytest.raises(NotFound):
            await tracker.update("made-up", 5)
        assert await tracker.get("made-up") is None
        async with bench.other("somebody-else") as other:
            assert await other.progress.get("a") is None


async def seen(bench: Bench, id: str) -> Progress:
    """The progress, which must be there."""
    progress = await bench.app.progress.get(id)
    assert progress is not None
    return progress
