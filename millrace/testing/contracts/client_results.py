"""Results that are too large for the log are kept elsewhere, and read as any other."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from millrace import (
    Job,
    JobContext,
    JobFailed,
    JobStatus,
    Refused,
    ResultIncomplete,
    StaleAttempt,
    TooLarge,
    TypedJson,
)
from millrace.contracts.job_result import DEFAULT_MAX_BYTES, PART_BYTES, STORED
from millrace.testing.contracts.bench import DEADLINE, Bench, claim, seen

LARGE = {"rows": ["0123456789" * 100 for _ in range(1_300)]}  # 1.3 MB of JSON: three parts


class ResultsContract:
    async def test_a_large_result_is_read_back_as_it_was(self, bench: Bench) -> None:
        @bench.app.job
        async def export() -> Any:
            return LARGE

        job = await bench.app.jobs.enqueue("export")
        (ended,) = await bench.run(job)
        where = ended.result[STORED]
        assert (where["content_type"], len(where["parts"])) == ("application/json", 3)
        assert where["size"] == sum(part["size"] for part in where["parts"]) > 1_300_000
        assert await bench.app.jobs.result(job.id, timeout=DEADLINE) == LARGE

    async def test_a_small_result_is_read_in_one_part(self, bench: Bench) -> None:
        job, _ = await completed(bench, result={"pages": 3})
        read = await bench.app.query("job.result", {"job_id": job.id})
        text = b'{"pages":3}'
        assert (read["parts"], read["content"]) == (1, b64encode(text).decode())
        assert read["sha256"] == hashlib.sha256(text).hexdigest()
        with pytest.raises(Refused, match="no part 1"):
            await bench.app.query("job.result", {"job_id": job.id, "part": 1})

    async def test_who_comes_after_is_told_that_a_large_result_was_left_out(self, bench: Bench) -> None:
        told: list[Any] = []

        @bench.app.job
        async def export() -> Any:
            return LARGE

        @bench.app.job
        async def send(job: JobContext) -> int:
            told.extend((parent.left_out, parent.result) for parent in job.parents)
            return 1

        first = await bench.app.jobs.enqueue("export")
        await bench.run(first, await bench.app.jobs.enqueue("send", after=[first.id]))
        assert told == [(True, None)]

    async def test_only_the_running_attempt_may_upload(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        with pytest.raises(StaleAttempt):
            await bench.app.execute("job.upload", part_of(job, b"[1]"))
        await claim(bench.app)
        for _ in range(2):
            answer = await bench.app.execute("job.upload", part_of(job, b"[1]"))
            assert answer.result["size"] == 3
        with pytest.raises(StaleAttempt):
            await bench.app.execute("job.upload", part_of(job, b"[1]", attempt=2))
        async with bench.other("somebody-else") as other:
            with pytest.raises(Refused, match="there is no job"):
                await other.execute("job.upload", part_of(job, b"[1]"))

    async def test_a_result_that_was_not_uploaded_as_reported_is_refused_and_the_attempt_goes_on(
        self, bench: Bench
    ) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        first, second = part_of(job, b"[1,"), part_of(job, b"2]")
        named = {"job_id": job.id, "attempt": 1, "outcome": "completed"}

        def report(*sizes: int) -> dict[str, Any]:
            parts = [
                {"sha256": part["sha256"], "size": size} for part, size in zip((first, second), sizes, strict=True)
            ]
            digest = hashlib.sha256(b"[1,2]").hexdigest()
            return {**named, "stored": {"sha256": digest, "size": sum(sizes), "parts": parts}}

        with pytest.raises(ResultIncomplete, match=f"2 of the result's 2 parts .* first {first['sha256']}"):
            await bench.app.execute("job.report", report(3, 2))
        await bench.app.execute("job.upload", first)
        with pytest.raises(ResultIncomplete, match=f"1 of the result's 2 parts .* first {second['sha256']}"):
            await bench.app.execute("job.report", report(3, 2))
        await bench.app.execute("job.upload", second)
        with pytest.raises(ResultIncomplete, match="1 of the result's 2 parts"):
            await bench.app.execute("job.report", report(3, 1))
        assert (await seen(bench.app, job.id)).status is JobStatus.PROCESSING
        with pytest.raises(StaleAttempt):
            await bench.app.execute("job.report", {**report(9, 9), "attempt": 2})
        for _ in range(2):
            await bench.app.execute("job.report", report(3, 2))
        assert await bench.app.jobs.result(job.id, timeout=DEADLINE) == [1, 2]

    async def test_a_part_that_is_not_what_it_says_is_refused(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        for content in ("not base64!", b64encode(b"[2]").decode(), b64encode(b"x" * (PART_BYTES + 1)).decode()):
            with pytest.raises(Refused, match="content"):
                await bench.app.execute("job.upload", {**part_of(job, b"[1]"), "content": content})

    async def test_a_result_beyond_the_limit_is_refused_and_the_setting_named(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        with pytest.raises(TooLarge, match=f"{DEFAULT_MAX_BYTES} are kept .modules.jobs.results.max_bytes"):
            await bench.app.execute("job.upload", part_of(job, b"[1]", total=DEFAULT_MAX_BYTES + 1))

    async def test_what_is_not_there_or_was_removed_cannot_be_read(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        with pytest.raises(Refused, match="it is pending"):
            await bench.app.query("job.result", {"job_id": job.id})
        await bench.app.jobs.cancel(job.id)
        done, _ = await completed(bench, stored=b"[1]")
        assert await bench.app.jobs.result(done.id, timeout=DEADLINE) == [1]
        await bench.app.jobs.remove(done.id)
        with pytest.raises(Refused, match="there is no job"):
            await bench.app.query("job.result", {"job_id": done.id})

    async def test_a_result_of_a_serializer_is_read_back_with_its_types(self, bench: Bench) -> None:
        rows = [(n, b"x" * 1_000) for n in range(900)]

        @bench.app.job(serializer=TypedJson())
        async def export() -> Any:
            return rows

        job = await bench.app.jobs.enqueue("export")
        await bench.run(job)
        assert (await seen(bench.app, job.id)).result.keys() == {STORED}
        assert await bench.app.jobs.result(job.id, timeout=DEADLINE) == rows

    async def test_a_result_cannot_pass_for_a_stored_one(self, bench: Bench) -> None:
        @bench.app.job
        async def forge() -> Any:
            return {STORED: {"size": 1}}

        job = await bench.app.jobs.enqueue("forge")
        await bench.run(job)
        with pytest.raises(JobFailed, match=r"\$stored"):
            await bench.app.jobs.result(job.id, timeout=DEADLINE)


def part_of(job: Job, content: bytes, *, attempt: int = 1, total: int | None = None) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    text = b64encode(content).decode()
    whole = total or len(content)
    return {"job_id": job.id, "attempt": attempt, "total": whole, "sha256": digest, "content": text}


async def completed(bench: Bench, *, result: Any = None, stored: bytes | None = None) -> tuple[Job, dict[str, Any]]:
    """A job that has completed with a result, or with one that was uploaded."""
    job = await bench.app.jobs.enqueue("n")
    await claim(bench.app)
    report: dict[str, Any] = {"job_id": job.id, "attempt": 1, "outcome": "completed"}
    if stored is None:
        report["result"] = result
    else:
        part = part_of(job, stored)
        await bench.app.execute("job.upload", part)
        where = {"sha256": part["sha256"], "size": len(stored)}
        report["stored"] = {**where, "parts": [where]}
    await bench.app.execute("job.report", report)
    return await seen(bench.app, job.id), report
