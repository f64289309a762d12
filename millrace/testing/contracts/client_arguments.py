"""A job's data as its handler gets it: checked, as models, and of an older version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from millrace import JobContext, JobStatus
from millrace.testing import MillraceTest
from millrace.testing.contracts.bench import Bench, working

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
ID = UUID("0199c2f0-0000-7000-8000-000000000001")


class Page(BaseModel):
    number: int = Field(ge=1)
    scanned_at: datetime


class Order(BaseModel):
    id: UUID
    pages: list[Page]


ORDER = Order(id=ID, pages=[Page(number=1, scanned_at=AT)])


class ArgumentsContract:
    async def test_a_model_is_all_of_the_data(self, bench: Bench) -> None:
        got: list[Any] = []

        @bench.app.job
        async def print_order(job: JobContext, order: Order) -> None:
            got.append(order)

        first = await print_order.enqueue(ORDER)
        second = await bench.app.jobs.enqueue("print_order", ORDER)
        third = await bench.app.jobs.enqueue("print_order", ORDER.model_dump(mode="json"))
        await bench.run(first, second, third)
        assert got == [ORDER] * 3
        assert first.data == second.data == third.data == ORDER.model_dump(mode="json")

    async def test_keywords_become_what_they_are_annotated_with(self, bench: Bench) -> None:
        got: list[Any] = []

        @bench.app.job
        async def scan(page: Page, at: datetime, ids: set[UUID], more: Any = None, note: str = "-") -> None:
            got.append((page, at, ids, more, note))

        job = await scan.enqueue(page=ORDER.pages[0], at=AT, ids={ID}, more=[1])
        [ended] = await bench.run(job)
        assert ended.status is JobStatus.COMPLETED
        assert got == [(ORDER.pages[0], AT, {ID}, [1], "-")]

    async def test_data_that_does_not_fit_is_a_dead_letter_that_says_what_is_wrong(self, bench: Bench) -> None:
        @bench.app.job
        async def scan(page: Page, copies: int = 1) -> None: ...

        @bench.app.job
        async def print_order(order: Order) -> None: ...

        keywords = await bench.app.jobs.enqueue("scan", {"page": {"number": 0, "scanned_at": "soon"}, "copies": "many"})
        model = await bench.app.jobs.enqueue("print_order", {"id": "7"})
        ended, other = await bench.run(keywords, model)
        assert (ended.status, ended.attempts, ended.dead_lettered) == (JobStatus.FAILED, 1, True)
        for place in ("page.number: ", "page.scanned_at: ", "copies: "):
            assert place in (ended.error or "")
        assert "soon" not in (ended.error or "")
        assert "pages: Field required" in (other.error or "")
        assert [error.traceback for error in ended.errors] == [None]

    async def test_what_pydantic_knows_nothing_of_is_passed_on(self, bench: Bench) -> None:
        class Own: ...

        async def scan(page: Any, copies: Any) -> list[Any]:
            return [page, copies]

        scan.__annotations__ = {"page": Own, "copies": int}
        bench.app.job("scan")(scan)
        [ended] = await bench.run(await bench.app.jobs.enqueue("scan", {"page": 1, "copies": "2"}))
        assert ended.result == [1, 2]

    async def test_data_of_an_older_version_is_brought_up_step_by_step(self, bench: Bench) -> None:
        def split(data: dict[str, Any]) -> dict[str, Any]:
            first, last = data.pop("name").split()
            return {**data, "first": first, "last": last}

        @bench.app.job("greet", version=3, upcast={1: split, 2: lambda data: {**data, "title": "Dr"}})
        async def greet(job: JobContext, first: str, last: str, title: str) -> list[Any]:
            return [first, last, title, job.data]

        first = await bench.app.jobs.enqueue("greet", {"name": "Ada Lovelace", "$version": 1})
        second = await bench.app.jobs.enqueue("greet", {"first": "Ada", "last": "Byron", "$version": 2})
        third = await greet.enqueue("Ada", "King", title="Lady")
        assert third.data["$version"] == 3
        names = [job.result for job in await bench.run(first, second, third)]
        assert [name[:3] for name in names] == [
            ["Ada", "Lovelace", "Dr"],
            ["Ada", "Byron", "Dr"],
            ["Ada", "King", "Lady"],
        ]
        assert names[2][3] == {"first": "Ada", "last": "King", "title": "Lady"}

    async def test_data_that_cannot_be_brought_up_is_a_dead_letter(self, bench: Bench) -> None:
        @bench.app.job(version=2, upcast={1: lambda data: {"n": data["number"]}})
        async def count(n: int) -> int:
            return n

        wrong = [await bench.app.jobs.enqueue("count", {"$version": mark}) for mark in (1, 0, "2", True)]
        errors = [job.error or "" for job in await bench.run(*wrong)]
        assert "from version 1 to 2: KeyError('number')" in errors[0]
        assert all("$version" in error for error in errors[1:])

    async def test_newer_data_is_left_to_newer_workers_and_uses_no_attempt(self, bench: Bench) -> None:
        @bench.app.job(version=2, upcast={1: lambda data: data})
        async def count(n: int = 0) -> int:
            return n

        job = await bench.app.jobs.enqueue("count", {"n": 7, "$version": 3})
        if isinstance(bench.app, MillraceTest):
            await bench.app.run_jobs()
        else:
            async with working(bench.app):
                async for event in bench.app.events("job.retry_scheduled", after="beginning"):
                    if event.subject == job.id:
                        break
        [returned] = [e for e in await bench.app.history("job", job.id) if e.eventtype == "job.attempt_returned"][:1]
        assert "version 3, this worker knows up to 2" in returned.data["reason"]
        seen = await bench.app.jobs.get(job.id)
        assert seen is not None
        assert (seen.status, seen.attempts) == (JobStatus.DELAYED, 0)

    async def test_every_step_between_the_versions_is_needed(self, bench: Bench) -> None:
        for version, upcast in ((3, {1: dict}), (2, {}), (1, {1: dict}), (0, {})):
            with pytest.raises(ValueError, match="version"):
                bench.app.job("n", version=version, upcast=upcast)(lambda: None)
