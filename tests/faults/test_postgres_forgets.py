"""What PostgreSQL may forget in a crash, because nobody waited for it, is nothing that a reader can notice."""

from __future__ import annotations

from millrace import Millrace
from millrace.errors import Behind
from tests.faults.harness.bench import Bench
from tests.faults.harness.postgres import Postgres
from tests.faults.harness.processes import Service
from tests.faults.harness.waiting import until

ROUNDS = 5
CATCH_UP_SECONDS = 15.0


async def test_a_job_that_was_read_is_read_again_after_a_crash_that_forgets_its_row(run: Bench) -> None:
    # Only what is waited for reaches the disk: the row of the job does not, its event does.
    postgres = await run.start(Postgres(run.folder, settings={"wal_writer_delay": "10s"}))
    service = await run.start(Service(run.folder, database=postgres.url))
    await service.ready()
    async with Millrace(service.url) as client:
        for _ in range(ROUNDS):
            answer = await client.execute("job.enqueue", {"name": "step", "queue": "nobody-works-here"})
            job_id = answer.result["job_id"]
            assert await client.jobs.get(job_id, min_position=answer.position) is not None
            await run.kill(postgres)
            await postgres.start()
            # In a quiet log nothing but the lost connection tells the projection that its rows are gone.
            await until(lambda: found(client, job_id, answer.position), CATCH_UP_SECONDS, "the job is read again")  # noqa: B023


async def found(client: Millrace, job_id: str, position: str | None) -> bool:
    """Whether the job is there; false where the service says that it does not know yet.

    Raises:
        AssertionError: the service says that there is no such job.
    """
    try:
        assert await client.jobs.get(job_id, min_position=position) is not None
    except Behind:
        return False
    return True
