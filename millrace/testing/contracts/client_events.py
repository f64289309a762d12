"""The log: following it, publishing to it, and asking what happened and why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace import Invalid, LogReset, NotFound
from millrace.events import EventStream
from millrace.testing.contracts.bench import DEADLINE, Bench, claim, head


async def first(stream: EventStream, count: int) -> list[Any]:
    async with asyncio.timeout(DEADLINE):
        return [await anext(stream) for _ in range(count)]


class EventsContract:
    async def test_events_are_read_in_order_from_any_position(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        await bench.app.execute("job.report", {"job_id": job.id, "attempt": 1, "outcome": "completed", "result": 1})
        events = await first(bench.app.events("job.#", "beginning"), 3)
        assert [event.eventtype for event in events] == ["job.enqueued", "job.started", "job.completed"]
        assert [event.version for event in events] == [1, 2, 3]
        assert {event.subject for event in events} == {job.id}
        assert len({event.id for event in events}) == 3
        [last] = await first(bench.app.events("job.#", events[1].position), 1)
        assert last == events[2]

    async def test_patterns_choose_by_words(self, bench: Bench) -> None:
        for event_type in ("shop.order.placed", "shop.order.line.added", "shop.paid", "stock.order.placed"):
            await bench.app.publish(event_type)
        expected = {
            "shop.#": ["shop.order.placed", "shop.order.line.added", "shop.paid"],
            "shop.*": ["shop.paid"],
            "*.order.placed": ["shop.order.placed", "stock.order.placed"],
            "#.added": ["shop.order.line.added"],
            "#": ["shop.order.placed", "shop.order.line.added", "shop.paid", "stock.order.placed"],
        }
        for pattern, types in expected.items():
            page = await bench.app.events(pattern, "beginning").next_page()
            assert [event.eventtype for event in page] == types, pattern

    async def test_a_reader_waits_for_what_comes(self, bench: Bench) -> None:
        await bench.app.publish("shop.opened")
        stream = bench.app.events("shop.*", "head")
        await stream.pin()
        waiting = asyncio.create_task(first(stream, 1))
        await bench.app.publish("shop.closed", {"at": "noon"})
        [event] = await waiting
        assert (event.eventtype, event.payload) == ("shop.closed", {"at": "noon"})

    async def test_a_published_event_is_a_cloud_event(self, bench: Bench) -> None:
        event_id = await bench.app.publish("financial.invoice.created", {"total": 12.5}, company_id="acme")
        [event] = await first(bench.app.events("financial.#", "beginning"), 1)
        assert (event.specversion, event.type, event.eventtype) == (
            "1.0", "financial.invoice.created", "financial.invoice.created",
        )  # fmt: skip
        assert (event.data, event["payload"], event.subject) == ({"total": 12.5}, {"total": 12.5}, event_id)
        assert (event.tenant, event.company) == (bench.app.settings.tenant, "acme")
        assert event.correlationid

    async def test_own_events_of_the_service_are_cloud_events_too(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n", {"a": 1}, priority=3)
        [event] = await bench.app.history("job", job.id)
        assert (event.type.rpartition(".v")[0], event.source) == ("millrace.job.enqueued", "/millrace/job")
        assert event.data == {
            "name": "n", "data": {"a": 1}, "queue": "default", "priority": 3, "max_attempts": 3, "timeout": 300.0,
            "retry": {"kind": "exponential", "delay": 1.0, "factor": 2.0, "max_delay": 3600.0, "jitter": 0.1},
            "run_at": None, "queue_priority": 0, "unique": None, "after": None, "on_parent_failure": None,
            "key": None, "batch": None, "affinity": None,
        }  # fmt: skip

    async def test_publishing_again_with_the_same_message_id_is_publishing_once(self, bench: Bench) -> None:
        ids = {await bench.app.publish("shop.opened", message_id="once") for _ in range(3)}
        assert len(ids) == 1
        assert len((await bench.app.events("shop.*", "beginning").next_page()).events) == 1

    @pytest.mark.parametrize("event_type", ["oneword", "job.completed", "a..b", "a.b c", ""])
    async def test_a_type_that_cannot_be_published_is_refused(self, bench: Bench, event_type: str) -> None:
        with pytest.raises(Invalid):
            await bench.app.publish(event_type)

    @pytest.mark.parametrize("pattern", ["a..b", "a*", "job.#x", ""])
    async def test_a_pattern_that_means_nothing_is_refused(self, bench: Bench, pattern: str) -> None:
        with pytest.raises(Invalid):
            await bench.app.events(pattern, "beginning").next_page()

    async def test_positions_are_checked(self, bench: Bench) -> None:
        epoch, _, position = (await head(bench.app)).rpartition("-")
        with pytest.raises(Invalid):
            await bench.app.events("#", "yesterday").next_page()
        for token in ("another-1", f"{epoch}-{int(position) + 1_000_000}"):
            with pytest.raises(LogReset):
                await bench.app.events("#", token.replace("another", "abcdef")).next_page()

    async def test_tenants_do_not_see_each_other(self, bench: Bench) -> None:
        await bench.app.publish("shop.opened")
        async with bench.other(f"{bench.app.settings.tenant}-b") as other:
            await other.publish("shop.closed")
            page = await other.events("#", "beginning").next_page()
            assert [event.eventtype for event in page] == ["shop.closed"]

    async def test_a_state_can_be_read_as_it_was(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await bench.app.jobs.cancel(job.id)
        [enqueued, _] = await bench.app.history("job", job.id)
        assert [event.version for event in await bench.app.history("job", job.id, after_version=1)] == [2]
        now, before = await bench.app.state("job", job.id), await bench.app.state("job", job.id, at=1)
        assert (now["version"], now["state"]["status"]) == (2, "cancelled")
        assert (before["version"], before["state"]["status"]) == (1, "pending")
        if not bench.capabilities.virtual_clock:
            then = await bench.app.state("job", job.id, at=enqueued.time.isoformat())
            assert then["state"]["status"] == "pending"

    async def test_what_does_not_exist_has_no_history(self, bench: Bench) -> None:
        for kind, id in (("job", "nobody"), ("elephant", "nobody")):
            with pytest.raises(NotFound):
                await bench.app.history(kind, id)
            with pytest.raises(NotFound):
                await bench.app.state(kind, id)
        with pytest.raises(NotFound):
            await bench.app.why("nobody")
        job = await bench.app.jobs.enqueue("n")
        with pytest.raises(Invalid):
            await bench.app.state("job", job.id, at="last tuesday")
