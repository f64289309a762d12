"""What `millrace.testing` adds to the client's contract: the clock, `run_jobs`, borrowed applications, the fixtures."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from millrace import Event, JobContext, JobStatus, Millrace
from millrace.testing import EndlessWork, InMemory, MillraceTest, VirtualClock, in_memory
from millrace.worker import Worker

START = datetime(2030, 1, 1, tzinfo=UTC)
DEADLINE = 60.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def app() -> MillraceTest:
    return MillraceTest(start=START)


def test_the_clock_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(START)
    clock.advance(90)
    assert clock.now() == clock.now() == START + timedelta(seconds=90)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="zone"):
        VirtualClock(datetime(2030, 1, 1))


async def test_a_delayed_job_waits_for_the_clock(app: MillraceTest) -> None:
    @app.job
    async def n() -> None: ...

    job = await app.jobs.enqueue("n", delay=3_600)
    assert await app.run_jobs() == []
    app.clock.advance(3_599)
    assert await app.run_jobs() == []
    app.clock.advance(1)
    [ran] = await app.run_jobs()
    assert (ran.id, ran.status, ran.started_at) == (job.id, JobStatus.COMPLETED, START + timedelta(hours=1))


async def test_advancing_runs_everything_at_its_own_time(app: MillraceTest) -> None:
    seen: list[tuple[str, float]] = []

    @app.job(retry={"kind": "exponential", "delay": 10, "factor": 3, "jitter": 0})
    async def note(tag: str, job: JobContext) -> None:
        seen.append((tag, (app.clock.now() - START).total_seconds()))
        if tag == "flaky" and job.attempt < 3:
            raise ValueError("again")

    await app.jobs.enqueue("note", {"tag": "later"}, run_at=START + timedelta(seconds=25))
    await app.jobs.enqueue("note", {"tag": "flaky"})
    await app.jobs.enqueue("note", {"tag": "never"}, delay=101)
    jobs = await app.run_jobs(advance=100)
    assert seen == [("flaky", 0), ("flaky", 10), ("later", 25), ("flaky", 40)]
    assert [job.data["tag"] for job in jobs] == ["flaky", "later"]
    assert app.clock.now() == START + timedelta(seconds=100)


async def test_what_jobs_and_events_cause_is_run_too(app: MillraceTest) -> None:
    done: list[str] = []

    @app.job
    async def parent() -> None:
        await app.publish("shop.ordered", {"n": 1})

    @app.on("shop.*", name="shop")
    async def follow(event: Event) -> None:
        await app.jobs.enqueue("child", dict(event.payload))

    @app.job
    def child(n: int) -> None:
        done.append(f"child {n}")

    await app.jobs.enqueue("parent")
    assert [job.name for job in await app.run_jobs()] == ["parent", "child"]
    assert done == ["child 1"]


async def test_work_without_end_is_an_error(app: MillraceTest) -> None:
    @app.job
    async def again() -> None:
        await app.jobs.enqueue("again")

    await app.jobs.enqueue("again")
    with pytest.raises(EndlessWork):
        await app.run_jobs(max_runs=20)


async def test_jobs_that_wait_for_others_run_beside_them(app: MillraceTest) -> None:
    @app.job
    async def outer() -> int:
        inner_job = await app.jobs.enqueue("inner")
        return 1 + int(await app.jobs.result(inner_job.id, timeout=DEADLINE))

    @app.job
    async def inner() -> int:
        return 41

    job = await app.jobs.enqueue("outer")
    await app.run_jobs(concurrency=2)
    assert await app.jobs.result(job.id) == 42


async def test_only_the_named_queues_are_run(app: MillraceTest) -> None:
    @app.job
    async def n() -> None: ...

    await app.jobs.enqueue("n", queue="mail")
    other = await app.jobs.enqueue("n", queue="other")
    assert [job.id for job in await app.run_jobs(queues=["other"])] == [other.id]
    assert (await app.jobs.stats()).pending == 1


async def test_canceling_stops_a_running_handler_at_once(app: MillraceTest) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    @app.job
    async def endless() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    job = await app.jobs.enqueue("endless")
    running = asyncio.create_task(app.run_jobs())
    await started.wait()
    await app.jobs.cancel(job.id)
    [ended] = await running
    assert stopped.is_set()
    assert ended.status is JobStatus.CANCELLED


async def test_an_ordinary_worker_runs_on_it_and_follows_the_clock(app: MillraceTest) -> None:
    @app.job
    async def n() -> int:
        return 1

    worker = Worker(app, concurrency=2)
    working = asyncio.create_task(worker.run(signals=False))
    job = await app.jobs.enqueue("n", delay=3_600)
    await worker.started.wait()
    app.clock.advance(3_600)
    assert await app.jobs.result(job.id, timeout=DEADLINE) == 1
    worker.stop()
    await working


async def test_an_application_that_exists_is_put_on_it_and_back() -> None:
    app = Millrace("http://127.0.0.1:9", tenant="shop", timeout=0.1)

    @app.job
    async def add(a: int) -> int:
        return a + 1

    async with in_memory(app, start=START) as test:
        job = await add.enqueue(1)
        [ran] = await test.run_jobs()
        assert (ran.id, ran.result) == (job.id, 2)
        assert (await app.jobs.stats()).completed == 1
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9"):
        await app.jobs.stats()
    await app.close()


async def test_applications_can_share_a_service() -> None:
    memory = InMemory(VirtualClock(START))
    producer, consumer = MillraceTest(memory=memory), MillraceTest(memory=memory)

    @consumer.job
    async def n() -> None: ...

    job = await producer.jobs.enqueue("n")
    assert [ran.id for ran in await consumer.run_jobs()] == [job.id]


@pytest.mark.parametrize(("missed", "made_up_for"), [("skip", 0), ("one", 1), ("all", 7)])
async def test_a_clock_that_jumps_is_an_outage_for_schedules(app: MillraceTest, missed: Any, made_up_for: int) -> None:
    @app.cron("0 3 * * *", missed=missed)
    async def nightly() -> None: ...

    assert len(await app.run_jobs(advance=86_400)) == 1
    app.clock.advance(7 * 86_400 + 7_200)
    assert len(await app.run_jobs()) == made_up_for
    assert len(await app.run_jobs(advance=86_400)) == 1


async def test_declared_schedules_run_at_their_own_time_on_the_way(app: MillraceTest) -> None:
    seen: list[datetime] = []

    @app.cron("30 2 * * *", timezone="Europe/Berlin", starts_at=datetime(2030, 3, 30, tzinfo=UTC))
    async def nightly() -> None:
        seen.append(app.clock.now())

    await app.run_jobs(advance=90.5 * 86_400)
    # On 31 March the clocks skip 02:30.
    assert [f"{time:%m-%d %H:%M}" for time in seen] == ["03-30 01:30", "03-31 01:00", "04-01 00:30"]


async def test_a_run_that_waits_for_a_job_starts_when_that_has_ended(app: MillraceTest) -> None:
    ran: list[float] = []

    @app.every(10, overlap="queue")
    @app.job(retry={"kind": "fixed", "delay": 25, "jitter": 0})
    async def slow(job: JobContext) -> None:
        ran.append((app.clock.now() - START).total_seconds())
        if job.attempt == 1:
            raise ValueError("again")

    await app.run_jobs(advance=40)
    assert ran == [10, 35, 35]


def test_the_blocking_twin_has_schedules_too(app: MillraceTest) -> None:
    with app.sync() as sync:
        due = sync.jobs.schedules.create("s", "n", cron="@daily")
        assert due == START + timedelta(days=1)
        assert [each.name for each in sync.jobs.schedules.iterate()] == ["s"]


def test_code_without_an_event_loop_uses_the_blocking_twin(app: MillraceTest) -> None:
    @app.job
    def n(x: int) -> int:
        return x * 2

    with app.sync() as sync:
        job = sync.jobs.enqueue("n", {"x": 4})
        [ran] = sync.run_jobs()
        assert (ran.id, ran.result) == (job.id, 8)


def test_pytest_has_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "def test_it(millrace_app, run_jobs):\n"
        "    import asyncio\n"
        "    @millrace_app.job\n"
        "    async def n(): ...\n"
        "    async def main():\n"
        "        await millrace_app.jobs.enqueue('n', delay=5)\n"
        "        assert len(await run_jobs(advance=5)) == 1\n"
        "    asyncio.run(main())\n"
    )
    # A wheel announces the plugin by itself; a checkout that is not installed does not.
    named = [] if entry_points(group="pytest11", name="millrace") else ["-p", "millrace.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *named, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path, env=_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"millrace": "millrace.pytest_plugin"}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}


def test_the_light_client_is_enough() -> None:
    code = (
        "import sys, millrace.pytest_plugin\n"
        "heavy = {'domain', 'projections', 'handlers', 'adapters', 'infra', 'eventsourcing', 'asyncpg', 'fastapi'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=_environment(), check=True)
    assert done.stdout.split() == []


async def test_a_wait_for_its_time_is_no_wait_for_a_worker() -> None:
    app = MillraceTest()

    @app.job
    async def n() -> None: ...

    await app.jobs.enqueue("n", delay=600)
    await app.run_jobs(advance=600)
    wait = (await app.jobs.stats(details=True)).wait
    assert wait is not None
    assert (wait.count, wait.longest) == (1, 0.0)


async def test_a_digest_is_made_from_the_tenants_template_as_in_the_service(app: MillraceTest) -> None:
    notifications = app.notifications
    await notifications.set_contact("kim", "email", "kim@example.org")

    async def summed_up(key: str) -> list[str]:
        for number in range(2):
            await notifications.send(
                user_id="kim", title=f"{key} {number}", channels=["email"], digest={"key": key, "window": 60}
            )
        app.clock.advance(61)
        await app.run_jobs()
        digest = await notifications.get(app.outbox[-1]["notification_id"])
        assert digest is not None
        assert digest.template is not None
        return [digest.title, digest.message, str(digest.template["version"]), *sorted(digest.metadata or {})]

    assert await summed_up("build") == ["2 notifications", "• build 0\n• build 1", "built-in"]
    await notifications.templates.save("digest", title="{{ count }} builds", message="{{ notifications[0].title }}")
    assert await summed_up("test") == ["2 builds", "test 0", "1"]
    await notifications.templates.save("digest", title="{{ nothing }}")
    assert await summed_up("run") == ["2 notifications", "• run 0\n• run 1", "built-in", "template_problem"]
