"""Serializers: what arguments and results are on the way, and what is read without them."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from millrace import JobContext, JobStatus, NotSerializable, TypedJson, UnknownCodec
from millrace.testing.contracts.bench import DEADLINE, Bench, seen


class Colour(Enum):
    RED = 1


@dataclass
class Point:
    x: Decimal
    y: tuple[int, ...]


class Order(BaseModel):
    id: UUID
    points: list[Point]


class Packed:
    """A format of an application's own: JSON, compressed, as text."""

    name = "packed"

    def dump(self, value: Any) -> str:
        return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()

    def load(self, value: Any) -> Any:
        return json.loads(zlib.decompress(base64.b64decode(value)))


VALUES: dict[str, Any] = {
    "at": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "day": date(2026, 1, 31),
    "hour": time(12, 30),
    "wait": timedelta(seconds=1.5),
    "price": Decimal("1.50"),
    "id": UUID("0199c2f0-0000-7000-8000-000000000001"),
    "raw": b"\x00\xff",
    "pair": (1, "two"),
    "some": {1, 2},
    "by_number": {1: "one", 2: Decimal(2)},
    "colour": Colour.RED,
    "order": Order(id=UUID(int=1), points=[Point(Decimal("0.1"), (1, 2))]),
    "tagged": {"$type": "Decimal", "value": "no number"},
    "plain": [None, True, 1, 1.5, "text", {"deep": [{}]}],
}


class SerializersContract:
    async def test_values_come_back_as_they_were(self, bench: Bench) -> None:
        got: dict[str, Any] = {}

        @bench.app.job(serializer=TypedJson(Colour, Point, Order))
        async def echo(job: JobContext) -> Any:
            got.update(job.data)
            return job.data

        job = await bench.app.jobs.enqueue("echo", VALUES)
        assert job.data == VALUES
        [ended] = await bench.run(job)
        assert got == ended.data == ended.result == VALUES
        assert await bench.app.jobs.result(job.id, timeout=DEADLINE) == VALUES
        assert [each.result for each in await bench.app.jobs.list(name="echo")] == [VALUES]

    async def test_a_message_is_json_that_names_its_serializer(self, bench: Bench) -> None:
        @bench.app.job("pack", serializer=Packed(), version=2, upcast={1: lambda data: {"text": data["t"]}})
        async def pack(text: str) -> dict[str, str]:
            return {"text": text.upper()}

        job = await pack.enqueue("abc")
        old = await bench.app.jobs.enqueue("pack", {"t": "old", "$version": 1})
        [ended, brought_up] = await bench.run(job, old)
        assert (ended.result, brought_up.result) == ({"text": "ABC"}, {"text": "OLD"})
        raw = (await bench.app.query("job.get", {"job_id": job.id}))["job"]
        assert raw["data"] == {"$codec": "packed", "data": Packed().dump({"text": "abc"}), "$version": 2}
        assert raw["result"] == {"$codec": "packed", "data": Packed().dump({"text": "ABC"})}

    async def test_messages_without_a_serializer_are_read_as_plain_json(self, bench: Bench) -> None:
        @bench.app.job(serializer="typed")
        async def add(a: Decimal, b: Decimal) -> Decimal:
            return a + b

        answer = await bench.app.execute("job.enqueue", {"name": "add", "data": {"a": "0.1", "b": "0.2"}})
        [ended] = await bench.run(await seen(bench.app, answer.result["job_id"]))
        assert ended.result == Decimal("0.3")

    async def test_results_are_passed_on_as_they_were(self, bench: Bench) -> None:
        @bench.app.job(serializer="typed")
        async def price() -> Decimal:
            return Decimal("1.10")

        @bench.app.job
        async def twice(job: JobContext) -> str:
            return str(2 * job.parents[0].result)

        first = await price.enqueue()
        [_, ended] = await bench.run(first, await bench.app.jobs.enqueue("twice", after=first))
        assert ended.result == "2.20"

    async def test_an_application_may_have_one_for_all_its_jobs(self, bench: Bench) -> None:
        bench.app.registry.codecs.default = TypedJson()

        @bench.app.job
        async def kinds(at: Any, raw: Any) -> list[str]:
            return [type(at).__name__, type(raw).__name__]

        @bench.app.job(serializer="json")
        async def plain() -> list[int]:
            return [1]

        jobs = [await kinds.enqueue(datetime.now(UTC), b"x"), await plain.enqueue()]
        assert [job.result for job in await bench.run(*jobs)] == [["datetime", "bytes"], [1]]
        raw = (await bench.app.query("job.get", {"job_id": jobs[1].id}))["job"]
        assert (raw["data"], raw["result"]) == ({}, [1])

    async def test_what_cannot_be_written_is_named_by_its_place(self, bench: Bench) -> None:
        @bench.app.job(serializer="typed")
        async def typed(order: Any) -> Any: ...

        for name, data, path in (
            ("typed", {"order": {"items": [1, {"price": 1j}]}}, "data.order.items[1].price"),
            ("typed", {"order": Colour.RED}, "data.order"),
            ("plain", {"order": {"items": [1, {"price": object()}]}}, "data.order.items[1].price"),
            ("plain", {"order": [float("nan")]}, "data.order[0]"),
        ):
            with pytest.raises(NotSerializable) as caught:
                await bench.app.jobs.enqueue(name, data)
            assert caught.value.path == path

    async def test_a_result_that_cannot_be_written_is_a_dead_letter_that_names_the_place(self, bench: Bench) -> None:
        @bench.app.job(serializer="typed")
        async def bad() -> Any:
            return {"items": [Decimal(1), object()]}

        [ended] = await bench.run(await bad.enqueue())
        assert (ended.status, ended.attempts) == (JobStatus.FAILED, 1)
        assert "result.items[1]" in (ended.error or "")

    async def test_what_cannot_be_read_is_a_dead_letter_that_names_the_place(self, bench: Bench) -> None:
        @bench.app.job(serializer="typed")
        async def read(price: Any) -> None: ...

        broken = [
            {"price": {"$type": "Decimal", "value": "a lot"}},
            {"price": [{"$type": "os.system", "value": "true"}]},
            ["no arguments"],
        ]
        jobs = [await bench.app.jobs.enqueue("raw", {"$codec": "typed", "data": each}) for each in broken]

        @bench.app.job("raw", serializer="json")
        async def raw(price: Any) -> None: ...

        ended = await bench.run(*jobs)
        assert [(job.status, job.attempts) for job in ended] == [(JobStatus.FAILED, 1)] * 3
        errors = [job.error or "" for job in ended]
        assert errors[0].startswith("data.price: this is no Decimal")
        assert errors[1].startswith("data.price[0]: the type 'os.system'")
        assert "arguments have names" in errors[2]

    async def test_a_serializer_that_a_reader_lacks_is_told(self, bench: Bench) -> None:
        @bench.app.job(serializer=Packed())
        async def pack(n: int) -> int:
            return n

        job = await pack.enqueue(1)
        await bench.run(job)
        reader = bench.other(bench.app.settings.tenant)
        with pytest.raises(UnknownCodec, match="packed"):
            await reader.jobs.result(job.id, timeout=DEADLINE)
        found = await seen(reader, job.id)
        assert found.result["$codec"] == "packed"
        await reader.close()

    async def test_serializers_that_run_what_they_read_are_refused(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="runs code"):
            bench.app.job(serializer="pickle")
        with pytest.raises(ValueError, match="'msgpack'"):
            bench.app.job(serializer="msgpack")
        bench.app.job("a", serializer=Packed())(lambda: None)
        with pytest.raises(ValueError, match="two serializers"):
            bench.app.job("b", serializer=Packed())(lambda: None)
