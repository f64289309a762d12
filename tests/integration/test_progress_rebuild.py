"""The read model of progress is what a replay of the log makes of it."""

from __future__ import annotations

from infra.maintenance import rebuild_read_model
from tests.support.eventually import eventually
from tests.support.systems import asked, system, told


async def test_a_rebuild_from_the_log_makes_the_same_rows(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await told(running, "progress.create", {"id": "whole", "children": {"mode": "count", "expected": 2}})
        for id in ("a", "b"):
            wish = {"id": id, "stages": ["x", {"name": "y", "weight": 2.5}], "parent_id": "whole", "stall_after": 60}
            await told(running, "progress.create", {**wish, "metadata": {"größe": 1.5}, "user_id": "kim"})
            await told(running, "progress.update", {"progress_id": id, "progress": 40, "stage": "y"})
        await told(running, "progress.checkpoint", {"progress_id": "a", "checkpoint": [1, None]})
        await told(running, "progress.fail", {"progress_id": "a", "error": "no", "error_detail": {"type": "OSError"}})
        await told(running, "progress.resume", {"progress_id": "a"})
        await told(running, "progress.cancel", {"progress_id": "b", "reason": "not wanted"})
        await told(running, "progress.complete", {"progress_id": "a", "result": None})
        await told(running, "progress.create", {"id": "gone", "stages": ["x"]})
        await told(running, "progress.remove", {"progress_id": "gone"})
        whole = await eventually(
            lambda: asked(running, "progress.get", {"progress_id": "whole"}),
            lambda answer: answer["progress"]["status"] == "failed",
        )
        assert whole["progress"]["children"] == {
            "mode": "count", "expected": 2, "total": 2, "open": 0, "completed": 1, "failed": 0, "cancelled": 1,
        }  # fmt: skip
        rebuilt = await rebuild_read_model(fresh_database_url, "progress", lambda done, total: None, True)
        assert rebuilt.equal
        again = await asked(running, "progress.get", {"progress_id": "whole"})
        assert again["progress"] == whole["progress"]
