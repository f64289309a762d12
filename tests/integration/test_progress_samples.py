"""Updates as samples: few are recorded, the last always is, and all processes show them live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from adapters.postgres.due_progress import PostgresDueProgress
from domain.live import Sample
from handlers.progress_samples import HOLD_SECONDS, LOOK_SECONDS
from handlers.progress_timers import ProgressTimers
from infra.bootstrap import System, build
from infra.composition import ROLES, Role
from infra.settings import Settings
from millrace import Millrace, Progress
from tests.support.eventually import eventually
from tests.support.running import until
from tests.support.systems import asked, batch, claimed, enqueued, history, reported, system, told

OLD = -1.0  # seconds: whatever has ended is older


@asynccontextmanager
async def on_broker(dsn: str, broker: str, roles: Sequence[Role]) -> AsyncIterator[System]:
    built = await build(Settings(rabbitmq_url=SecretStr(broker)), dsn, roles)
    built.start()
    try:
        bus = built.bus
        assert bus is not None
        await until(lambda: bus.healthy)
        yield built
    finally:
        await built.stop()


async def shown(running: System, id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await asked(running, "progress.get", {"progress_id": id}))["progress"]
    return found


async def recorded(running: System, id: str) -> list[float]:
    events = (await asked(running, "log.history", {"kind": "progress", "id": id}))["events"]
    return [event["data"]["progress"] for event in events if "progress" in event["data"]]


async def test_of_thousands_of_updates_through_two_processes_few_are_recorded_and_the_last_always(
    fresh_database_url: str, rabbitmq_url: str
) -> None:
    async with (
        on_broker(fresh_database_url, rabbitmq_url, ROLES) as first,
        on_broker(fresh_database_url, rabbitmq_url, ["api"]) as second,
    ):
        heard: dict[str, list[Sample]] = {"first": [], "second": []}
        first.samples.listen(heard["first"].append)
        second.samples.listen(heard["second"].append)
        await told(first, "progress.create", {"id": "busy"})
        inbox = await first.storage.pool.fetchval("SELECT count(*) FROM inbox")
        begun = asyncio.get_running_loop().time()
        outcomes: dict[str, int] = {"recorded": 0, "sampled": 0}
        for start in range(0, 9_000, 250):
            sender = (first, second)[start // 250 % 2]
            bodies = [{"progress_id": "busy", "progress": (start + n) / 100, "seq": start + n} for n in range(250)]
            for answer in await batch(sender, "progress.update", bodies):
                outcomes[answer.to_wire()["result"]["outcome"]] += 1
        seconds = asyncio.get_running_loop().time() - begun
        # One that begins it, and in each second one by each process at most, of which the store takes one.
        assert outcomes["recorded"] <= 2 + 2 * seconds
        read = await eventually(lambda: shown(first, "busy"), lambda found: found["progress"] == 89.99)
        assert read["status"] == "processing"
        percents = await recorded(first, "busy")
        assert percents == sorted(percents)
        assert len(percents) <= 4 + 2 * seconds
        assert await first.storage.pool.fetchval("SELECT count(*) FROM inbox") == inbox

        async def everywhere() -> bool:
            return all(any(s.data["progress"] >= 80 for s in samples) for samples in heard.values())

        await eventually(everywhere)
        assert all(sample.subject == "busy" and "position" not in sample.data for sample in heard["first"])


async def test_a_sample_is_not_shown_before_it_is_recorded(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await told(running, "progress.create", {"id": "p"})
        first = await told(running, "progress.update", {"progress_id": "p", "progress": 10})
        second = await told(running, "progress.update", {"progress_id": "p", "progress": 11})
        assert (first.result["outcome"], second.result["outcome"]) == ("recorded", "sampled")
        assert (first.position is not None, second.position) == (True, None)
        assert second.result["progress"]["progress"] == 10


async def test_the_last_sample_is_recorded_by_the_timer_when_nothing_follows(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await told(running, "progress.create", {"id": "p"})
        await told(running, "progress.update", {"progress_id": "p", "progress": 10, "seq": 1})
        for seq in range(2, 20):
            sampled = await told(
                running, "progress.update", {"progress_id": "p", "progress": 10 + seq / 10, "seq": seq}
            )
        assert sampled.result["outcome"] == "sampled"
        found = await eventually(lambda: shown(running, "p"), lambda found: found["progress"] > 10)
        assert found["progress"] == 11.9
        events = (await asked(running, "log.history", {"kind": "progress", "id": "p"}))["events"]
        _, first, last = events
        assert [event["data"]["seq"] for event in (first, last)] == [1, 19]
        # No command brought it: the first of those after the recorded one had waited for as long as samples are held.
        waited: timedelta = last["time"] - first["time"]
        assert waited.total_seconds() >= HOLD_SECONDS
    assert HOLD_SECONDS + LOOK_SECONDS < 1


async def test_what_is_held_is_recorded_from_its_time_on_and_not_before(fresh_database_url: str) -> None:
    # Without the loop that does it by the clock.
    async with system(fresh_database_url, ["projector"]) as running:
        await told(running, "progress.create", {"id": "p"})
        await told(running, "progress.update", {"progress_id": "p", "progress": 10})
        before = asyncio.get_running_loop().time()
        await told(running, "progress.update", {"progress_id": "p", "progress": 11})
        held = asyncio.get_running_loop().time()
        await told(running, "progress.update", {"progress_id": "p", "progress": 12})
        await running.progress_samples.record(running.pipeline, before)
        assert (await shown(running, "p"))["progress"] == 10
        await running.progress_samples.record(running.pipeline, held)
        assert (await shown(running, "p"))["progress"] == 12
        await running.progress_samples.record(running.pipeline)
        assert await recorded(running, "p") == [0, 10, 12]


async def test_a_process_that_stops_records_what_it_kept(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as first:
        await told(first, "progress.create", {"id": "p"})
        for percent in (10, 11, 12):
            await told(first, "progress.update", {"progress_id": "p", "progress": percent})
    async with system(fresh_database_url) as second:
        assert (await shown(second, "p"))["progress"] == 12


async def test_what_another_process_has_ended_takes_no_sample_any_more(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as first, system(fresh_database_url, ["api"]) as second:
        await told(first, "progress.create", {"id": "p"})
        await told(second, "progress.update", {"progress_id": "p", "progress": 10})
        await told(first, "progress.complete", {"progress_id": "p"})
        late = await told(second, "progress.update", {"progress_id": "p", "progress": 11})
        assert late.result["outcome"] == "sampled"
        await second.progress_samples.record(second.pipeline)
        assert (await history(first, "p", "progress"))[-1] == "progress.completed"
        again = await told(second, "progress.update", {"progress_id": "p", "progress": 12})
        assert again.result["progress"]["status"] == "completed"


async def test_what_ended_long_ago_leaves_the_read_model_and_may_come_back(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        for id in ("done", "lost", "open"):
            await told(running, "progress.create", {"id": id})
        await told(running, "progress.complete", {"progress_id": "done"})
        await told(running, "progress.fail", {"progress_id": "lost"})
        for id in ("done", "lost", "open"):
            await shown(running, id)
        timers = ProgressTimers(PostgresDueProgress(running.storage.pool), running.pipeline, {"completed": OLD})
        assert await timers.sweep() == 1
        left = await eventually(lambda: asked(running, "progress.list", {}), lambda page: len(page["progress"]) == 2)
        assert {each["id"] for each in left["progress"]} == {"lost", "open"}
        assert (await history(running, "done", "progress"))[-1] == "progress.removed"
        anew = await told(running, "progress.create", {"id": "done", "stages": ["a"]})
        assert anew.result["progress"]["status"] == "pending"
        assert await timers.sweep() == 0
        failed = ProgressTimers(PostgresDueProgress(running.storage.pool), running.pipeline, {"failed": OLD})
        assert await failed.sweep() == 1
        assert (await history(running, "lost", "progress"))[-1] == "progress.removed"


async def test_a_parent_is_exact_after_the_process_that_tells_it_was_away(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await told(running, "progress.create", {"id": "whole", "children": {"expected": 3}})
        for n in range(3):
            await told(running, "progress.create", {"id": f"part-{n}", "parent_id": "whole", "weight": n + 1})
        await eventually(lambda: shown(running, "whole"), lambda found: found["children"]["total"] == 3)
    async with system(fresh_database_url, ["api"]) as alone:
        await told(alone, "progress.update", {"progress_id": "part-0", "progress": 30})
        await told(alone, "progress.fail", {"progress_id": "part-0"})
        await told(alone, "progress.resume", {"progress_id": "part-0"})
        await told(alone, "progress.update", {"progress_id": "part-1", "progress": 60})
        await told(alone, "progress.complete", {"progress_id": "part-2"})
    async with system(fresh_database_url) as running:
        expected = (1 * 30 + 2 * 60 + 3 * 100) / 6
        found = await eventually(lambda: shown(running, "whole"), lambda found: found["progress"] == expected)
        assert found["status"] == "processing"
        for n in range(2):
            await told(running, "progress.complete", {"progress_id": f"part-{n}"})
        await eventually(lambda: shown(running, "whole"), lambda found: found["status"] == "completed")
        percents = await recorded(running, "whole")
        assert percents == sorted(percents)


async def test_a_client_on_the_broker_sees_samples_between_the_events(
    fresh_database_url: str, rabbitmq_url: str
) -> None:
    seen: list[Progress] = []
    async with on_broker(fresh_database_url, rabbitmq_url, ROLES), Millrace(rabbitmq_url, timeout=15) as app:
        await app.progress.create(id="busy")
        app.progress.subscribe("busy", seen.append)
        percent = 0.0

        async def sampled() -> bool:
            nonlocal percent
            percent = min(percent + 0.01, 99.0)
            await app.progress.update("busy", percent)
            versions = [each.version for each in seen]
            return len(versions) > len(set(versions))

        await eventually(sampled)
    assert [each.progress for each in seen] == sorted(each.progress for each in seen)


async def test_what_a_lost_attempt_has_left_open_fails_with_its_job_and_goes_on_with_it(
    fresh_database_url: str,
) -> None:
    async with system(fresh_database_url, lease=0.5, unconfirmed=0.5) as running:
        job_id = await enqueued(running, max_attempts=1)
        [grant] = await claimed(running)
        body = {"id": job_id, "metadata": {"job_id": job_id}}
        await told(running, "progress.create", body)
        await told(running, "progress.create", {"id": "other", "metadata": {"job_id": job_id}})
        attempt = {"job_id": job_id, "attempt": grant["attempt"]}
        await told(running, "job.renew", {"worker": "w-5", "attempts": [attempt]})
        await told(running, "progress.update", {"progress_id": job_id, "progress": 40})
        # The worker says nothing any more.
        found = await eventually(lambda: shown(running, job_id), lambda found: found["status"] == "failed", 20.0)
        assert "stopped renewing" in found["error"]
        await told(running, "job.retry", {"job_id": job_id})
        await told(running, "progress.resume", {"progress_id": job_id})
        [grant] = await claimed(running)
        await reported(running, grant)
        await eventually(lambda: shown(running, job_id), lambda found: found["status"] == "completed", 20.0)
        assert (await shown(running, "other"))["status"] == "pending"
