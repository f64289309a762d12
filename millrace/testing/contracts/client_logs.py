"""What jobs log is kept with them, and bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace import Job, JobContext, NotFound
from millrace.contracts.job_logs import JobLog
from millrace.testing.contracts.bench import DEADLINE, Bench, claim

AT = "2026-02-03T04:05:06.7Z"


class LogsContract:
    async def test_what_each_attempt_logs_is_read_with_the_job(self, bench: Bench) -> None:
        @bench.app.job(retry={"kind": "fixed", "delay": 0.05, "jitter": 0})
        async def scan(job: JobContext) -> None:
            job.log("begun", attempt_number=job.attempt)
            job.log("paper\x00jam", level="warning", where={"tray": 2}, odd=object)
            if job.attempt == 1:
                raise ConnectionError("again")
            job.log("done")

        job = await bench.app.jobs.enqueue("scan")
        await bench.run(job, seconds=1)
        newest = await written(bench, job, 3)
        assert (newest.attempt, newest.attempts, newest.dropped) == (2, (1, 2), 0)
        assert [(line.n, line.level, line.message) for line in newest.lines] == [
            (1, "info", "begun"),
            (2, "warning", "paper\\x00jam"),
            (3, "info", "done"),
        ]
        assert newest.lines[1].fields == {"where": {"tray": 2}, "odd": repr(object)}
        assert [line.n for line in (await bench.app.jobs.logs(job.id, 1)).lines] == [1, 2]
        seen = await bench.app.jobs.get(job.id, logs=True)
        assert seen is not None
        assert list(seen.logs) == list(newest.lines)

    async def test_a_plain_function_logs_from_its_thread(self, bench: Bench) -> None:
        @bench.app.job
        def scan(job: JobContext) -> None:
            for page in range(3):
                job.log("page", page=page)

        job = await bench.app.jobs.enqueue("scan")
        await bench.run(job)
        assert [line.fields["page"] for line in (await written(bench, job, 3)).lines] == [0, 1, 2]

    async def test_of_very_many_lines_the_newest_are_kept_and_the_others_counted(self, bench: Bench) -> None:
        @bench.app.job
        async def chatty(job: JobContext) -> None:
            for n in range(1, 1_501):
                job.log(f"line {n}")

        job = await bench.app.jobs.enqueue("chatty")
        await bench.run(job)
        log = await written(bench, job, 1_500)
        assert (len(log.lines), log.dropped, log.lines[0].message) == (1_000, 500, "line 501")

    async def test_the_service_itself_keeps_the_bounds(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        lines = [{"n": n, "at": AT, "message": "x" * 8_000} for n in range(1, 101)]
        for start in (0, 50):
            await bench.app.execute("job.log", of(job, 1, lines[start : start + 50]))
        log = await bench.app.jobs.logs(job.id)
        assert (log.lines[-1].n, log.dropped) == (100, 100 - len(log.lines))
        assert sum(len(line.message) for line in log.lines) <= 262_144
        assert len(log.lines) == 32

    async def test_a_line_that_comes_twice_is_kept_once_and_of_no_attempt_not_at_all(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        line = {"n": 1, "at": AT, "message": "once"}
        kept = [(await bench.app.execute("job.log", of(job, attempt, [line]))).result["kept"] for attempt in (1, 1, 2)]
        assert kept == [1, 0, 0]
        other = bench.other("somebody-else")
        async with other:
            assert (await other.execute("job.log", of(job, 1, [{**line, "n": 2}]))).result["kept"] == 0
            with pytest.raises(NotFound):
                await other.jobs.logs(job.id)
        assert [each.message for each in (await bench.app.jobs.logs(job.id)).lines] == ["once"]

    async def test_a_removed_job_has_no_lines_to_be_read(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        assert (await bench.app.jobs.logs(job.id)).attempt is None
        await bench.app.jobs.remove(job.id)
        with pytest.raises(NotFound):
            await bench.app.jobs.logs(job.id)

    async def test_a_level_that_there_is_not_is_refused(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        async def scan(job: JobContext) -> None:
            job.log("loud", level="shout")  # type: ignore[arg-type]

        [ended] = await bench.run(await bench.app.jobs.enqueue("scan"))
        assert "one of debug, info, warning, error" in (ended.error or "")


def of(job: Job, attempt: int, lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"attempts": [{"job_id": job.id, "attempt": attempt, "lines": lines}]}


async def written(bench: Bench, job: Job, last: int) -> JobLog:
    """The newest attempt's lines once the line of that number is there: they follow within moments."""
    async with asyncio.timeout(DEADLINE):
        while True:
            log = await bench.app.jobs.logs(job.id)
            if log.lines and log.lines[-1].n == last:
                return log
            await asyncio.sleep(0.05)
