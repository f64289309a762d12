"""Reactions turn events into commands: once each, with cause and correlation, and never in a rebuild."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from domain import job_events
from domain.event import Publication, Published
from domain.ports import RecordedEvent
from handlers.reactions import Reaction
from infra.bootstrap import System
from infra.maintenance import rebuild_read_model
from millrace.contracts.event import Publish
from millrace.contracts.job import Enqueue
from millrace.contracts.wire import Message
from tests.support.eventually import eventually
from tests.support.systems import TENANT, asked, claimed, enqueued, reported, system, told

READER = "reaction:thanks"


def thank(event: RecordedEvent) -> Sequence[tuple[str, Message]]:
    """Each completed job is followed by an application's event and by another job, except of its own."""
    if not isinstance(event.event, job_events.Completed):
        return []
    return [
        ("event.publish", Publish(event_type="office.thanked", payload={"job": event.stream.id})),
        ("job.enqueue", Enqueue(name="send_card", queue="cards", data={"job": event.stream.id}, run_at=None)),
    ]


def stumble(event: RecordedEvent) -> Sequence[tuple[str, Message]]:
    """Cannot digest what says so; answers everything else."""
    if not isinstance(event.event, Published) or event.event_type != "office.called":
        return []
    if event.event.payload.get("broken"):
        raise ValueError("nobody understands this")
    return [("event.publish", Publish(event_type="office.answered", payload=event.event.payload))]


THANKS = Reaction("thanks", thank)


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url, reactions=[THANKS]) as running:
        yield running


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


async def a_job_is_done(running: System, **given: str) -> str:
    reply = await told(running, "job.enqueue", {"name": "transcribe"}, **given)
    (grant,) = await claimed(running)
    await reported(running, grant)
    return str(reply.result["job_id"])


async def said(running: System, pattern: str = "office.*") -> list[RecordedEvent]:
    events = await running.storage.store.read(0, 1_000)
    return [event for event in events if event.event_type.startswith(pattern.removesuffix("*"))]


async def cards(running: System) -> list[dict[str, object]]:
    jobs: list[dict[str, object]] = (await asked(running, "job.list", {"queue": "cards"}))["jobs"]
    return jobs


async def test_what_follows_keeps_tenant_cause_and_correlation(running: System) -> None:
    job_id = await a_job_is_done(
        running, correlation_id="c-31", company="north", actor="kim", traceparent="00-aa-bb-01"
    )
    (thanks,) = await eventually(lambda: said(running))
    completed = next(e for e in await running.storage.store.read(0, 100) if e.event_type == "job.completed")
    assert thanks.event.payload == {"job": job_id}  # type: ignore[attr-defined]
    assert thanks.metadata.tenant == TENANT
    assert thanks.metadata.company == "north"
    assert thanks.metadata.correlation_id == "c-31"
    assert thanks.metadata.causation_id == completed.event_id
    assert thanks.metadata.traceparent == "00-aa-bb-01"
    (card,) = await eventually(lambda: cards(running))
    assert card["name"] == "send_card"
    why = (await asked(running, "log.why", {"id": job_id}))["events"]
    assert [event["eventtype"] for event in why] == [
        "job.enqueued", "job.started", "job.completed", "office.thanked", "job.enqueued",
    ]  # fmt: skip


async def test_a_crash_before_the_position_was_saved_repeats_nothing(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    async with system(fresh_database_url, reactions=[THANKS]) as before:
        await a_job_is_done(before)
        await eventually(lambda: cards(before))
    await connection.execute("UPDATE readers SET position = 0 WHERE name = $1", READER)
    async with system(fresh_database_url, reactions=[THANKS]) as running:
        await a_job_is_done(running)
        head = await running.storage.store.head()
        await eventually(lambda: running.storage.readers.position(READER), lambda at: at >= head)
        assert len(await said(running)) == 2
        assert len(await eventually(lambda: cards(running), lambda found: len(found) >= 2)) == 2


async def test_a_rebuild_runs_no_reaction(running: System, fresh_database_url: str) -> None:
    await a_job_is_done(running)
    await eventually(lambda: cards(running))
    head = await running.storage.store.head()
    assert (await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)).equal
    assert await running.storage.store.head() == head


async def test_a_new_reaction_begins_at_the_head_unless_it_says_otherwise(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as before:
        await a_job_is_done(before)
    late = Reaction("late", thank)
    async with system(fresh_database_url, reactions=[late]) as running:
        second = await a_job_is_done(running)
        thanks = await eventually(lambda: said(running))
        assert [event.event.payload for event in thanks] == [{"job": second}]  # type: ignore[attr-defined]
    thorough = Reaction("thorough", thank, from_beginning=True)
    async with system(fresh_database_url, reactions=[thorough]) as running:
        await eventually(lambda: said(running), lambda found: len(found) >= 3)


async def test_what_was_accepted_before_anybody_runs_a_reaction_does_not_pass_it_by(fresh_database_url: str) -> None:
    async with system(fresh_database_url, ["api"], reactions=[THANKS]) as first:
        job_id = await a_job_is_done(first)
    async with system(fresh_database_url, reactions=[THANKS]) as running:
        thanks = await eventually(lambda: said(running))
        assert [event.event.payload for event in thanks] == [{"job": job_id}]  # type: ignore[attr-defined]


async def test_a_reaction_whose_place_is_lost_begins_at_the_head_again(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    seen: list[str] = []

    def note(event: RecordedEvent) -> Sequence[tuple[str, Message]]:
        seen.append(event.event_id)
        return []

    async def place() -> int:
        return int(await connection.fetchval("SELECT position FROM readers WHERE name = 'reaction:noting'") or 0)

    async def shown() -> int:
        return len(set(seen))

    async with system(fresh_database_url, reactions=[Reaction("noting", note)]) as running:
        await a_job_is_done(running)
        head = await running.storage.store.head()
        await eventually(place, lambda at: at >= head)
        await connection.execute("DELETE FROM readers WHERE name = 'reaction:noting'")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7270502"
            " AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        await eventually(place)
        await a_job_is_done(running)
        await eventually(shown, lambda count: count == 6)
    assert len(seen) == 6


async def test_an_event_that_a_reaction_cannot_digest_holds_its_own_stream(fresh_database_url: str) -> None:
    async with system(fresh_database_url, reactions=[Reaction("stumbling", stumble)]) as running:
        for payload in ({"call": 1}, {"broken": True}, {"call": 2}):
            await told(running, "event.publish", {"event_type": "office.called", "payload": payload})
        answered = await eventually(lambda: said(running, "office.answered"), lambda found: len(found) >= 2)
        assert [event.event.payload for event in answered] == [{"call": 1}, {"call": 2}]  # type: ignore[attr-defined]
        (held,) = await running.storage.readers.held()
        assert held[0] == "reaction:stumbling"
        assert "nobody understands this" in held[2]


async def test_streams_that_are_served_beside_each_other_are_held_alone_all_the_same(fresh_database_url: str) -> None:
    kinds = frozenset({Publication.KIND})
    async with system(fresh_database_url, ["api"]) as before:
        for number in range(20):
            payload = {"broken": True} if number == 7 else {"call": number}
            await told(before, "event.publish", {"event_type": "office.called", "payload": payload})
            await enqueued(before)
    beside = Reaction("beside", stumble, from_beginning=True, kinds=kinds, beside=True)
    async with system(fresh_database_url, reactions=[beside]) as running:
        answered = await eventually(lambda: said(running, "office.answered"), lambda found: len(found) >= 19)
        calls = [event.event.payload["call"] for event in answered]  # type: ignore[attr-defined]
        assert sorted(calls) == [number for number in range(20) if number != 7]
        (held,) = await eventually(running.storage.readers.held)
        assert held[0] == "reaction:beside"
        head = await running.storage.store.head()
        await eventually(lambda: running.storage.readers.position("reaction:beside"), lambda at: at >= head)


async def test_a_reaction_is_only_shown_the_kinds_it_names(fresh_database_url: str) -> None:
    async with system(fresh_database_url, ["api"]) as before:
        await a_job_is_done(before)
        await told(before, "event.publish", {"event_type": "office.called", "payload": {"call": 1}})
    shown: list[str] = []

    def note(event: RecordedEvent) -> Sequence[tuple[str, Message]]:
        shown.append(event.event_type)
        return []

    noting = Reaction("noting", note, from_beginning=True, kinds=frozenset({Publication.KIND}))
    async with system(fresh_database_url, reactions=[noting]) as running:
        head = await running.storage.store.head()
        await eventually(lambda: running.storage.readers.position("reaction:noting"), lambda at: at >= head)
    assert shown == ["office.called"]


async def test_later_events_of_a_held_stream_are_not_reacted_to(fresh_database_url: str) -> None:
    def once(event: RecordedEvent) -> Sequence[tuple[str, Message]]:
        if isinstance(event.event, job_events.Enqueued):
            raise ValueError("nobody understands this")
        return thank(event)

    async with system(fresh_database_url, ["api"]) as before:
        await a_job_is_done(before)
    async with system(fresh_database_url, reactions=[Reaction("stuck", once, from_beginning=True)]) as running:
        head = await running.storage.store.head()
        await eventually(lambda: running.storage.readers.position("reaction:stuck"), lambda at: at >= head)
        assert len(await running.storage.readers.held()) == 1
        assert await said(running) == []


async def test_an_event_that_cannot_be_decoded_holds_its_stream(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    async with system(fresh_database_url, ["api"]) as before:
        await a_job_is_done(before)
        spoilt = await enqueued(before)
        await a_job_is_done(before)
    await connection.execute("UPDATE stored_events SET state = 'no JSON' WHERE subject = $1", spoilt)
    async with system(fresh_database_url, reactions=[Reaction("whole", thank, from_beginning=True)]) as running:
        await eventually(lambda: said(running), lambda found: len(found) >= 1)
        held = await eventually(running.storage.readers.held, lambda found: "reaction:whole" in {h[0] for h in found})
        assert {stream for _, stream, _ in held} == {f"job:{TENANT}:{spoilt}"}
