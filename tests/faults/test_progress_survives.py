"""The service is killed amid thousands of samples: what was recorded stays, and a whole follows its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise

import pytest

from infra.maintenance import rebuild_read_model
from millrace import Millrace, Progress
from millrace.errors import MillraceError
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Service
from tests.faults.harness.waiting import until

PARTS = ("a", "b", "c")
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 5.0}
KILLS = 3
ROUNDS_BETWEEN = 12
AT_ONCE = 40
STEP = 0.01
DEADLINE = 60.0


class Sender:
    """Sends samples of one part, many at a time, and notes how far the service has said that it has recorded it.

    Attributes:
        reached: the percent that was sent last.
        recorded: the furthest percent of an answer, each of which says what is recorded.
        sent, rounds: how many samples were answered, and in how many messages.
    """

    def __init__(self, app: Millrace, id: str) -> None:
        self._app, self.id = app, id
        self.reached = self.recorded = 0.0
        self.sent = self.rounds = 0

    async def run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            percents = [self.reached + STEP * n for n in range(1, AT_ONCE + 1)]
            self.reached = percents[-1]
            with suppress(MillraceError):
                answers = await asyncio.gather(*(self._app.progress.update(self.id, each) for each in percents))
                self.recorded = max(self.recorded, *(answer.progress for answer in answers))
                self.sent += len(answers)
                self.rounds += 1
            # One that is at the end of its scale has nothing more to say.
            if self.reached > 90:
                return


async def insisted(call: Callable[[], Awaitable[Progress]]) -> Progress:
    """The answer, from whichever process of the service gives one at last."""
    found: list[Progress] = []

    async def answered() -> bool:
        with suppress(MillraceError):
            found.append(await call())
        return bool(found)

    await until(answered, DEADLINE, "the service has answered")
    return found[0]


async def percents(app: Millrace, id: str) -> list[float]:
    """What was recorded of one, in order."""
    return [event.data["progress"] for event in await app.history("progress", id) if "progress" in event.data]


@pytest.mark.timeout(300)
async def test_nothing_recorded_is_lost_or_goes_back_and_the_whole_is_what_its_parts_are(
    run: Bench, fresh_database_url: str
) -> None:
    service = await run.start(Service(run.folder, database=fresh_database_url))
    await service.ready()
    async with Millrace(service.url, timeout=5) as app:
        await app.progress.create(id="whole", children={"mode": "mean", "expected": len(PARTS)})
        for id in PARTS:
            await app.progress.create(id=id, parent_id="whole", weight=WEIGHTS[id])
        senders, over = [Sender(app, id) for id in PARTS], asyncio.Event()
        sending = [asyncio.create_task(sender.run(over)) for sender in senders]
        for _ in range(KILLS):
            wanted = {sender: sender.rounds + ROUNDS_BETWEEN for sender in senders}
            await until(
                lambda wanted=wanted: all(sender.rounds >= rounds for sender, rounds in wanted.items()),  # type: ignore[misc]
                DEADLINE, "samples have been answered",
            )  # fmt: skip
            await run.kill(service)
            known = {sender.id: sender.recorded for sender in senders}
            await service.start()
            await service.ready()
            for id in PARTS:
                found = await insisted(lambda id=id: app.progress.get(id))  # type: ignore[misc]
                assert found.progress >= known[id] > 0, "what an answer called recorded is there after the crash"
        over.set()
        await asyncio.gather(*sending)
        assert sum(sender.sent for sender in senders) > KILLS * ROUNDS_BETWEEN * AT_ONCE * len(PARTS)
        # The last words: nobody kills any more, so that they are recorded within a second.
        for sender in senders:
            await insisted(lambda sender=sender: app.progress.update(sender.id, sender.reached))  # type: ignore[misc]
        parts = {sender.id: sender.reached for sender in senders}
        await until(
            lambda: follows(app, parts), DEADLINE, "the parts are where they were said to be, the whole follows"
        )

        await app.progress.fail("a", "no room")
        await app.progress.resume("a")
        await run.kill(service)
        await service.start()
        await service.ready()
        for id in PARTS:
            await insisted(lambda id=id: app.progress.complete(id))  # type: ignore[misc]
        await until(lambda: completed(app), DEADLINE, "the whole has ended with its parts")
        for id in (*PARTS, "whole"):
            recorded = await percents(app, id)
            assert all(before <= after for before, after in pairwise(recorded)), "nothing goes back"
            assert recorded[-1] == 100
        ends = [event.eventtype for event in await app.history("progress", "whole")].count("progress.completed")
        assert ends == 1
    rebuilt = await rebuild_read_model(fresh_database_url, "progress", lambda done, total: None, True)
    assert rebuilt.equal


async def follows(app: Millrace, parts: dict[str, float]) -> bool:
    found = {id: (await app.progress.get(id)).progress for id in (*parts, "whole")}
    mean = sum(WEIGHTS[id] * found[id] for id in parts) / sum(WEIGHTS.values())
    return all(found[id] == parts[id] for id in parts) and abs(found["whole"] - mean) < 1e-9


async def completed(app: Millrace) -> bool:
    return (await app.progress.get("whole")).status == "completed"
