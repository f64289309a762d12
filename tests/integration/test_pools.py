"""Workers that several tenants share: whose jobs they get, in which shares, and who may have such workers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from adapters.http.access import Access, ApiKey
from infra.bootstrap import System
from infra.settings import load_settings
from millrace import ClaimsNotAllowed, Millrace, Worker
from millrace.contracts.wire import Accepted, Refused
from millrace.testing.pools import Shares
from tests.support.eventually import eventually
from tests.support.running import app_of, listening
from tests.support.service import running_service
from tests.support.systems import answered, context, executed, system, told

EVERYBODY = ("*",)
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 0.5}
STARTS = """
SELECT tenant FROM stored_events WHERE event_type = 'job.started' ORDER BY notification_id
"""
EXPLAIN = """
EXPLAIN (ANALYZE, FORMAT JSON, BUFFERS)
SELECT * FROM take_of_pool(ROW(0, 'ops', ARRAY['default'], $1::int, 'w', ARRAY['*'], 'p')::claim_to_serve, false,
                           1000000, interval '5 s', clock_timestamp())
"""


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url, tenants={name: {"weight": weight} for name, weight in WEIGHTS.items()}) as it:
        yield it


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


async def enqueued(running: System, tenant: str, number: int = 1, **body: Any) -> None:
    bodies = [{"name": "n", **body}] * number
    await executed(running, "job.enqueue", bodies, context(tenant=tenant))


async def pooled(running: System, slots: int, tenants: list[str], wait: float = 0.0, **given: Any) -> list[Any]:
    """What a claim of a worker of tenant `ops` is granted."""
    body = {"worker": "w-5", "slots": slots, "wait": wait, "tenants": tenants, **given}
    reply = await told(running, "job.claim", body, tenant="ops", claims_for=EVERYBODY)
    grants: list[Any] = reply.result["grants"]
    return grants


async def test_the_pick_is_that_of_the_simulation(running: System) -> None:
    """The same arrivals and claims through SQL and through the model that the simulation proves fair."""
    draw = random.Random(5)
    model, backlog = Shares(WEIGHTS), {tenant: deque[str]() for tenant in WEIGHTS}

    def next_of(tenant: str) -> list[str]:
        return [backlog[tenant].popleft()] if backlog[tenant] else []

    for _ in range(40):
        for tenant in draw.sample(sorted(WEIGHTS), draw.randint(0, 3)):
            number = draw.randint(1, 6)
            await enqueued(running, tenant, number)
            backlog[tenant].extend([tenant] * number)
        slots = draw.randint(1, 7)
        expected = [tenant for tenant, _ in model.take(sorted(WEIGHTS), slots, next_of)]
        assert [grant["tenant"] for grant in await pooled(running, slots, ["*"])] == expected


async def test_paused_queues_and_other_queues_give_their_turn_to_those_who_have_something(running: System) -> None:
    for tenant in ("a", "b"):
        await enqueued(running, tenant, 3)
        await enqueued(running, tenant, 1, queue="other")
    await told(running, "queue.pause", {"name": "default"}, tenant="a")
    assert Counter(grant["tenant"] for grant in await pooled(running, 9, ["a", "b"])) == {"b": 3}
    grants = await pooled(running, 9, ["a", "b"], queues=["default", "other"])
    assert [(grant["tenant"], grant["queue"]) for grant in grants] == [("a", "other"), ("b", "other")]


async def test_within_a_tenant_its_queue_s_own_order_and_limits_hold(running: System) -> None:
    await told(running, "queue.configure", {"name": "default", "order": "fair", "concurrency": 3}, tenant="a")
    for key in "xxxxyy":
        await enqueued(running, "a", key=key)
    await enqueued(running, "b", priority=5)
    await enqueued(running, "b", priority=9)
    grants = await pooled(running, 20, ["*"])
    assert [grant["key"] for grant in grants if grant["tenant"] == "a"] == ["x", "y", "x"]
    assert [grant["priority"] for grant in grants if grant["tenant"] == "b"] == [9, 5]
    for grant in grants[:2]:
        done = {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": "completed"}
        await told(running, "job.report", done, tenant=grant["tenant"])
    assert {grant["tenant"] for grant in await pooled(running, 20, ["*"])} <= {"a"}


async def test_a_claim_that_is_held_gets_any_tenant_s_job_from_any_process(
    running: System, fresh_database_url: str
) -> None:
    async with system(fresh_database_url) as other:
        every = asyncio.create_task(pooled(running, 1, ["*"], wait=20, queues=["q"]))
        some = asyncio.create_task(pooled(running, 1, ["a", "b"], wait=20, queues=["r"]))
        await enqueued(other, "z", queue="q")
        await enqueued(other, "b", queue="r")
        assert [grant["tenant"] for grant in await every + await some] == ["z", "b"]
        assert await pooled(running, 5, ["a"], queues=["q"]) == [], (
            "others than those that were named are never granted"
        )


@pytest.mark.parametrize(
    ("claims_for", "tenants", "allowed"),
    [
        ((), ["acme"], True),
        ((), ["acme", "b"], False),
        (("b",), ["acme", "b"], True),
        (("b",), ["b"], True),
        (("b",), ["b", "c"], False),
        (("b",), ["*"], False),
        (EVERYBODY, ["*"], True),
        (EVERYBODY, ["c"], True),
    ],
)
async def test_only_a_credential_that_may_claims_for_others(
    running: System, claims_for: tuple[str, ...], tenants: list[str], allowed: bool
) -> None:
    await enqueued(running, "c")
    body = {"worker": "w-5", "tenants": tenants}
    reply = await executed(running, "job.claim", body, context(claims_for=claims_for))
    if allowed:
        assert isinstance(reply, Accepted)
    else:
        assert isinstance(reply, Refused)
        assert reply.problem.code == "claims-not-allowed"
        assert "claims_for" in reply.problem.detail


async def test_users_of_the_broker_claim_for_those_whom_the_settings_name(
    fresh_database_url: str, rabbitmq_url: str
) -> None:
    """The broker vouches for the user's name, so the right does not depend on what a client says of itself."""
    for allowed in ({"millrace": ["b"]}, {"somebody": ["*"]}):
        settings = load_settings(environ={}, rabbitmq_url=rabbitmq_url, amqp_claims_for=allowed)
        async with running_service(fresh_database_url, rabbitmq_url, settings=settings), Millrace(rabbitmq_url) as app:
            body = {"worker": "w-5", "tenants": ["b"]}
            if "millrace" in allowed:
                assert (await app.execute("job.claim", body)).result["grants"] == []
                body["tenants"] = ["c"]
            with pytest.raises(ClaimsNotAllowed):
                await app.execute("job.claim", body)


async def test_over_http_a_handler_tells_its_progress_and_sends_notifications_for_the_job_s_tenant(
    running: System,
) -> None:
    keys = [ApiKey.of("of-the-pool", "ops", claims_for=["a"]), ApiKey.of("of-a", "a")]
    async with (
        listening(app_of(running, access=Access(keys))) as port,
        Millrace(f"http://127.0.0.1:{port}", tenant="ops", api_key="of-the-pool") as pool,
        Millrace(f"http://127.0.0.1:{port}", tenant="a", api_key="of-a") as app,
    ):

        @pool.job
        async def n(job: Any) -> None:
            async with job.progress(["load", "index"]) as progress:
                if job.attempt == 1:
                    await progress.update(50)
                    await progress.checkpoint({"page": 1})
                    raise ConnectionError("again")
                assert progress.checkpoint_state == {"page": 1}
                await progress.advance()
            await pool.notifications.send(user_id="u-1", title="Indexed")

        job = await app.jobs.enqueue("n", retry={"kind": "fixed", "delay": 0.1, "jitter": 0})
        worker = Worker(pool, tenants=["a"])
        running_worker = asyncio.create_task(worker.run(signals=False))
        try:
            await app.jobs.result(job.id, timeout=30)
        finally:
            worker.stop()
            await running_worker
        kinds = {event.eventtype for event in await app.history("progress", job.id)}
        assert {"progress.failed", "progress.resumed", "progress.completed"} <= kinds
        [sent] = await eventually(lambda: app.notifications.list("u-1"), bool)
        assert sent.title == "Indexed"
        assert await pool.progress.list() == []


async def test_several_workers_share_out_the_tenants_by_weight(fresh_database_url: str, connection: Any) -> None:
    """Three workers, two processes of the service, three tenants with more jobs than they get through at once."""
    number, parts = 60, {"a": 1, "b": 2, "c": 4}
    settings = load_settings(
        environ={}, modules={"jobs": {"tenants": {name: {"weight": weight} for name, weight in parts.items()}}}
    )
    async with (
        running_service(fresh_database_url, settings=settings) as one,
        running_service(fresh_database_url, settings=settings) as two,
    ):
        for tenant in parts:
            await enqueued(one.system, tenant, number)
        apps = [Millrace(url, tenant="ops") for url in (one.http, two.http, one.http)]
        for app in apps:
            app.job("n")(lambda: None)
        workers = [Worker(app, concurrency=4, tenants=["*"]) for app in apps]
        tasks = [asyncio.create_task(worker.run(signals=False)) for worker in workers]

        async def completed() -> int:
            return int(await connection.fetchval("SELECT count(*) FROM jobs WHERE status = 'completed'"))

        await eventually(completed, lambda n: n == number * len(parts), 60)
        for worker in workers:
            worker.stop()
        await asyncio.gather(*tasks)
        for app in apps:
            await app.close()
    starts = [row["tenant"] for row in await connection.fetch(STARTS)]
    # Until the first of them has no more jobs, each has its part of every beginning of the log, to within one job each.
    had, end = Counter[str](), 0
    while max(had.values(), default=0) < number:
        had[starts[end]] += 1
        end += 1
        for first, second in (("a", "b"), ("a", "c"), ("b", "c")):
            apart = had[first] / parts[first] - had[second] / parts[second]
            assert abs(apart) <= 1 / parts[first] + 1 / parts[second] + 1e-9


async def test_a_pool_s_claim_reads_two_rows_of_each_tenant_however_many_jobs_it_has(
    running: System, connection: Any
) -> None:
    for tenant in range(50):
        await enqueued(running, f"t-{tenant}", 20)
    await connection.execute("ANALYZE ready")
    async with connection.transaction():
        await connection.fetch(EXPLAIN, 4)
        touched = await connection.fetchrow(
            "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'ready'"
        )
    assert touched["seq_tup_read"] == 0
    assert touched["idx_tup_fetch"] <= 2 * 50 + 4 * 4 + 4, (
        "each tenant once found and once looked at; 4 heads of 4; 4 taken"
    )


async def test_tenants_that_are_served_see_the_workers_that_serve_them(running: System) -> None:
    await enqueued(running, "a")
    await told(running, "queue.pause", {"name": "default"}, tenant="a")
    await pooled(running, 1, ["*"])
    stats = await answered(running, "job.stats", {}, context(tenant="a"))
    assert isinstance(stats, Accepted)
    assert stats.result["workers"] == 1
    await told(running, "job.withdraw", {"worker": "w-5"}, tenant="ops")
    stats = await answered(running, "job.stats", {}, context(tenant="a"))
    assert isinstance(stats, Accepted)
    assert stats.result["workers"] == 0
