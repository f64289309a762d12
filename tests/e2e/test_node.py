"""The worker and the enqueuer in Node, which know Millrace from its protocol page, beside those in Python."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from millrace import JobFailed, JobStatus, Millrace, TypedJson, Worker
from tests.support.broker import Node
from tests.support.eventually import eventually
from tests.support.node import EXAMPLE, cancel, enqueue, installed, node_worker
from tests.support.running import Running, running

HANDLERS = """
import { setTimeout as sleep } from 'node:timers/promises';
import { NonRetryable, RetryAfter } from 'EXAMPLE/attempt.mjs';

const aborted = (signal) => new Promise((resolve) => signal.addEventListener('abort', resolve));

export default {
  double: ({ n }) => ({ twice: 2 * n }),
  refuse: () => { throw new NonRetryable('no such file'); },
  fail: () => { throw new RangeError('too far'); },
  unstorable: () => ({ text: 'a\\0b' }),
  half_a_character: () => '\\ud800',
  huge: () => 'x'.repeat(2 ** 20),
  cyclic: () => { const it = {}; it.it = it; return it; },
  count: async ({ n, stall }) => {
    await sleep(5);
    if (n < stall) return n;
    console.log('stalled');
    await new Promise(() => {});
  },
  endless: async (_, { signal }) => {
    console.log('started');
    await aborted(signal);
    console.log(`aborted by ${signal.reason.name}: ${signal.reason.message}`);
    return 'late';
  },
  busy: (_, job) => { if (job.grant.attempts === 1) throw new RetryAfter(0.05, 'busy'); return job.grant.attempts; },
  sum: (_, job) => job.grant.parents.reduce((sum, { result }) => sum + result.twice, 0),
  goes_on: async (_, job) => {
    if (job.grant.checkpoint === null) {
      job.heartbeat({ page: 3 });
      await job.checkpoint({ page: 3 });
      job.checkpoint({ page: 4 });
      throw new Error('the scanner is gone');
    }
    return job.grant.checkpoint;
  },
  parent: async (_, job) => (await job.command('job.enqueue', { name: 'double', data: { n: 1 } })).result.job_id,
};
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def handlers(example: Path) -> Path:
    text = HANDLERS.replace("EXAMPLE", str(example))
    file = example.parent / "handlers.mjs"
    file.write_text(text)
    file.with_name("going_on.mjs").write_text(text.replace("n < stall", "true"))
    return file


@pytest.fixture
async def service(fresh_database_url: str, rabbitmq_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url, rabbitmq_url) as service:
        yield service


@pytest.fixture
async def app(service: Running) -> AsyncIterator[Millrace]:
    async with Millrace(service.url, timeout=20) as app:
        yield app


@asynccontextmanager
async def python_worker(app: Millrace) -> AsyncIterator[None]:
    worker = Worker(app)
    working = asyncio.create_task(worker.run(signals=False))
    await worker.started.wait()
    try:
        yield
    finally:
        worker.stop()
        await working


@pytest.mark.parametrize("program", sorted(EXAMPLE.glob("*.mjs")), ids=lambda path: path.name)
def test_every_program_can_be_read(example: Path, program: Path) -> None:
    done = subprocess.run(["node", "--check", str(program)], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((EXAMPLE / "package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)


async def test_what_node_enqueues_a_python_worker_runs(example: Path, app: Millrace, rabbitmq_url: str) -> None:
    @app.job
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    arguments = ("greet", '{"name": "Node"}', "--id", f"order-{uuid4()}")
    code, out, err = await enqueue(example, rabbitmq_url, *arguments)
    assert (code, err) == (0, "")
    job = json.loads(out)
    assert (job["name"], job["status"], job["data"]) == ("greet", "pending", {"name": "Node"})
    async with python_worker(app):
        assert await app.jobs.result(job["id"], timeout=20) == "Hello, Node"
    # The same id from another process is the same command: it gets the job that there is.
    code, out, err = await enqueue(example, rabbitmq_url, *arguments)
    assert (code, err) == (0, "")
    again = json.loads(out)
    assert (again["id"], again["status"], again["result"]) == (job["id"], "completed", "Hello, Node")
    assert (await app.jobs.stats()).completed == 1
    code, out, err = await enqueue(example, rabbitmq_url, "", "{}")
    assert (code, out, json.loads(err)["code"]) == (1, "", "invalid")


async def test_what_python_enqueues_a_node_worker_runs(
    example: Path, handlers: Path, app: Millrace, rabbitmq_url: str
) -> None:
    async with node_worker(example, rabbitmq_url, handlers):
        jobs = [await app.jobs.enqueue("double", {"n": n}) for n in range(5)]
        results = await asyncio.gather(*(app.jobs.result(job.id, timeout=20) for job in jobs))
        assert results == [{"twice": 2 * n} for n in range(5)]
        parent = await app.jobs.enqueue("parent")
        child = await app.jobs.result(parent.id, timeout=20)
        assert await app.jobs.result(child, timeout=20) == {"twice": 2}
    [first, *_] = await app.history("job", child)
    [origin, *_] = await app.history("job", parent.id)
    assert (first.correlationid, first.causationid) == (origin.correlationid, parent.id)


async def test_a_job_that_cannot_be_done_ends_with_its_error(
    example: Path, handlers: Path, app: Millrace, rabbitmq_url: str
) -> None:
    retry = {"kind": "fixed", "delay": 0.05}
    expected = {
        "refuse": ["NonRetryable"],
        "fail": ["RangeError"] * 2,
        "endless": ["Timeout"] * 2,
        "unstorable": ["ResultRefused"],
        "half_a_character": ["ResultRefused"],
        "huge": ["ResultRefused"],
        "cyclic": ["ResultRefused"],
    }
    items = [{"name": name, "max_attempts": 2, "timeout": 0.5, "retry": retry} for name in [*expected, "double"]]
    *jobs, fine = await app.jobs.enqueue_many([*items[:-1], {**items[-1], "data": {"n": 1}}])
    async with node_worker(example, rabbitmq_url, handlers, "--slots", "20"):
        for job, errors in zip(jobs, expected.values(), strict=True):
            with pytest.raises(JobFailed) as caught:
                await app.jobs.result(job.id, timeout=20)
            failed = caught.value.job
            assert (failed.name, failed.dead_lettered, [each.type for each in failed.errors]) == (
                job.name,
                True,
                errors,
            )
        # What went wrong with the others' outcomes has not harmed the one that came with them.
        assert await app.jobs.result(fine.id, timeout=20) == {"twice": 2}


async def test_an_attempt_goes_on_from_the_checkpoint_of_the_one_before(
    example: Path, handlers: Path, app: Millrace, rabbitmq_url: str
) -> None:
    retry = {"kind": "fixed", "delay": 0.05}
    job = await app.jobs.enqueue("goes_on", retry=retry)
    busy = await app.jobs.enqueue("busy", retry={"kind": "fixed", "delay": 600})
    parts = [await app.jobs.enqueue("double", {"n": n}) for n in (1, 2)]
    total = await app.jobs.enqueue("sum", after=parts)
    async with node_worker(example, rabbitmq_url, handlers):
        assert await app.jobs.result(job.id, timeout=20) == {"page": 4}
        assert await app.jobs.result(busy.id, timeout=20) == 2
        assert await app.jobs.result(total.id, timeout=20) == 6
    saved = [event.data["state"] for event in await app.history("job", job.id) if event.eventtype == "job.checkpointed"]
    assert saved == [{"page": 3}, {"page": 4}]


async def test_data_of_a_serializer_that_node_lacks_is_left_to_others(
    example: Path, handlers: Path, app: Millrace, rabbitmq_url: str
) -> None:
    app.registry.codecs.default = TypedJson()
    job = await app.jobs.enqueue("double", {"n": 1}, max_attempts=1)
    async with node_worker(example, rabbitmq_url, handlers):
        left = await eventually(lambda: app.jobs.get(job.id), lambda job: job and job.status is JobStatus.DELAYED)
    assert left is not None
    assert left.attempts == 0
    reasons = [e.data["reason"] for e in await app.history("job", job.id) if e.eventtype == "job.attempt_returned"]
    # A claim of a worker that is gone may have got it before.
    assert "no serializer typed" in reasons[-1]


async def test_a_job_that_only_another_worker_can_run_is_left_to_it(
    example: Path, handlers: Path, app: Millrace, rabbitmq_url: str
) -> None:
    job = await app.jobs.enqueue("unheard-of", max_attempts=1)
    async with node_worker(example, rabbitmq_url, handlers):
        left = await eventually(lambda: app.jobs.get(job.id), lambda job: job and job.status is JobStatus.DELAYED)
    assert left is not None
    assert left.attempts == 0


async def test_two_hundred_jobs_end_exactly_once_though_their_worker_is_killed(
    example: Path, handlers: Path, app: Millrace, rabbitmq_url: str
) -> None:
    jobs = await app.jobs.enqueue_many({"name": "count", "data": {"n": n, "stall": 100}} for n in range(200))
    async with node_worker(example, rabbitmq_url, handlers, "--slots", "10") as worker:
        await worker.says("stalled", times=10)
        worker.process.send_signal(signal.SIGKILL)
        await worker.ended()
    async with node_worker(example, rabbitmq_url, handlers.with_name("going_on.mjs"), "--slots", "10"):
        results = await asyncio.gather(*(app.jobs.result(job.id, timeout=60) for job in jobs))
    assert results == list(range(200))
    interrupted = 0
    for job in jobs:
        history = [event for event in await app.history("job", job.id) if "attempt" in event.payload]
        started = [event.payload["attempt"] for event in history if event.eventtype == "job.started"]
        ended = [event for event in history if event.eventtype != "job.started"]
        # Attempt by attempt: started, then ended once, and only the last one with a result.
        assert started == [event.payload["attempt"] for event in ended] == list(range(1, len(started) + 1))
        *before, last = [event.eventtype for event in ended]
        assert last == "job.completed"
        assert set(before) <= {"job.attempt_returned", "job.attempt_lost"}
        interrupted += bool(before)
    assert interrupted >= 10


async def test_cancelling_a_job_aborts_the_signal_of_its_handler(
    example: Path, handlers: Path, app: Millrace, rabbitmq_url: str
) -> None:
    async with node_worker(example, rabbitmq_url, handlers) as worker:
        job = await app.jobs.enqueue("endless")
        await worker.says("started")
        code, out, err = await cancel(example, rabbitmq_url, job.id, "not needed")
        assert (code, err, json.loads(out)["status"]) == (0, "", "cancelled")
        await worker.says("aborted by Lost: cancelled: not needed")
        # Its slot is free again, and what its handler returned is not reported.
        after = await app.jobs.enqueue("double", {"n": 1})
        assert await app.jobs.result(after.id, timeout=20) == {"twice": 2}
    cancelled = await app.jobs.get(job.id)
    assert cancelled is not None
    assert (cancelled.status, cancelled.result) == (JobStatus.CANCELLED, None)


async def test_a_worker_that_is_terminated_hands_its_job_back_and_takes_no_other(
    example: Path, handlers: Path, app: Millrace, rabbitmq_url: str
) -> None:
    @app.job
    async def endless() -> str:
        return "ended elsewhere"

    job = await endless.options(max_attempts=1).enqueue()
    async with node_worker(example, rabbitmq_url, handlers, "--grace", "0.1", "--slots", "2") as worker:
        await worker.says("started")
        worker.process.terminate()
        await worker.says("aborted by Stopping")
        assert await worker.ended() == 0
    # A claim that still waited in the name of the one that is gone would get this.
    follower = await endless.enqueue()
    async with python_worker(app):
        for each in (job, follower):
            assert await app.jobs.result(each.id, timeout=20) == "ended elsewhere"
    ran = ["job.started", "job.completed"]
    handed_back = [event.eventtype for event in await app.history("job", job.id)]
    # On a busy machine a grant may come too late to be started, and is returned as well.
    assert handed_back[-3:] == ["job.attempt_returned", *ran]
    assert handed_back.count("job.completed") == 1
    assert [event.eventtype for event in await app.history("job", follower.id)] == ["job.enqueued", *ran]


@pytest.mark.slow
@pytest.mark.faults
async def test_a_restart_of_the_broker_loses_nothing(
    example: Path, handlers: Path, fresh_database_url: str, tmp_path: Path
) -> None:
    node = Node(tmp_path)
    try:
        await node.start()
        async with (
            running(fresh_database_url, node.url) as service,
            Millrace(service.url, timeout=20) as app,
            node_worker(example, node.url, handlers, "--slots", "5") as worker,
        ):
            # A claim that waits, four jobs that end, and one that runs through.
            running_through = await app.jobs.enqueue("endless", timeout=2.0, max_attempts=1)
            await worker.says("started")
            node.stop()
            away = await app.jobs.enqueue_many({"name": "double", "data": {"n": n}} for n in range(20))
            await worker.says("aborted by Timeout")
            sent = asyncio.create_task(enqueue(example, node.url, "double", '{"n": 21}'))
            await node.start()
            code, out, err = await sent
            assert (code, "trying again" in err) == (0, True)
            assert await app.jobs.result(json.loads(out)["id"], timeout=30) == {"twice": 42}
            results = await asyncio.gather(*(app.jobs.result(job.id, timeout=30) for job in away))
            assert results == [{"twice": 2 * n} for n in range(20)]
            # What ended while there was no broker has been reported since.
            with pytest.raises(JobFailed) as caught:
                await app.jobs.result(running_through.id, timeout=30)
            assert [each.type for each in caught.value.job.errors] == ["Timeout"]
    finally:
        node.close()
