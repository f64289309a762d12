"""Whatever is told of a progress, to whichever process, twice or late: the store never takes anything back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from pydantic_core import from_json, to_json

from infra.bootstrap import System
from infra.maintenance import rebuild_read_model
from millrace.contracts.wire import Accepted, Context, Refused
from tests.support.systems import answered, executed, system

T = TypeVar("T")
STAGES = ("read", "check", "write")
percents = st.one_of(st.sampled_from([0.0, 50.0, 100.0]), st.floats(0, 100))
processes = st.integers(0, 1)


class Everybody(RuleBasedStateMachine):
    """Callers of two processes who move one progress with stages and one without, parts of a third."""

    def __init__(self, running: tuple[System, System], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.running, self.loop, self.tenant = running, loop, uuid4().hex
        self.numbers = itertools.count()
        self.sent: list[tuple[str, dict[str, Any], str, Accepted | Refused]] = []
        self.recorded: dict[str, tuple[int, float]] = {}
        self.tell(0, "progress.create", {"id": "all", "children": {"expected": 2}})
        self.tell(0, "progress.create", {"id": "staged", "stages": list(STAGES), "parent_id": "all"})
        self.tell(1, "progress.create", {"id": "plain", "parent_id": "all", "weight": 3})

    @rule(process=processes, percent=percents)
    def update(self, process: int, percent: float) -> None:
        self.tell(process, "progress.update", {"progress_id": "plain", "progress": percent})

    @rule(process=processes, percent=percents, stage=st.sampled_from([None, *STAGES]))
    def update_a_stage(self, process: int, percent: float, stage: str | None) -> None:
        body = {"progress_id": "staged", "progress": percent} | ({} if stage is None else {"stage": stage})
        self.tell(process, "progress.update", body)

    @rule(process=processes, id=st.sampled_from(["staged", "plain"]), how=st.sampled_from(["fail", "resume", "resume"]))
    def fail_or_go_on(self, process: int, id: str, how: str) -> None:
        self.tell(process, f"progress.{how}", {"progress_id": id})

    @rule(process=processes, row=st.integers(0, 3))
    def store_a_checkpoint(self, process: int, row: int) -> None:
        self.tell(process, "progress.checkpoint", {"progress_id": "staged", "checkpoint": {"row": row}})

    @rule(process=processes)
    def advance(self, process: int) -> None:
        self.tell(process, "progress.advance", {"progress_id": "staged"})

    @rule(process=processes)
    def record_what_is_kept(self, process: int) -> None:
        running = self.running[process]
        self.run(running.progress_samples.record(running.pipeline))

    @rule(process=processes, place=st.integers(0, 50))
    def repeat(self, process: int, place: int) -> None:
        """A copy of a command comes late, perhaps elsewhere."""
        command, body, message_id, answer = self.sent[place % len(self.sent)]
        again = self.ask(process, command, body, message_id)
        remembered = command != "progress.update"
        if remembered and not (isinstance(answer, Refused) and answer.problem.code == "invalid"):
            assert plain(again) == plain(answer)
        self.note(again)

    def teardown(self) -> None:
        self.run(self.agrees())

    async def agrees(self) -> None:
        """The log never falls and has what answers called recorded; the read model is what the log says."""
        for running in self.running:
            await running.progress_samples.record(running.pipeline)
        for id in ("staged", "plain", "all"):
            history = await self.asked(0, "log.history", {"kind": "progress", "id": id})
            events = history["events"]
            assert [event["version"] for event in events] == list(range(1, len(events) + 1))
            told = {event["version"]: event["data"]["progress"] for event in events if "progress" in event["data"]}
            rose = list(told.values())
            assert rose == sorted(rose)
            version, percent = self.recorded.get(id, (1, 0.0))
            assert told.get(version, percent) == percent
            shown = (await self.asked(0, "progress.get", {"progress_id": id}))["progress"]
            state = (await self.asked(1, "log.state", {"kind": "progress", "id": id}))["state"]
            assert {name: shown[name] for name in ("status", "progress", "stage", "checkpoint", "error")} == {
                name: state[name] for name in ("status", "progress", "stage", "checkpoint", "error")
            }
            assert shown["progress"] >= percent
            if id == "plain" and shown["status"] == "processing":
                updates = [body for command, body, _, _ in self.sent if command == "progress.update"]
                furthest = max((body["progress"] for body in updates if body["progress_id"] == id), default=0.0)
                assert shown["progress"] <= furthest

    async def asked(self, process: int, query: str, body: dict[str, Any]) -> dict[str, Any]:
        context = Context(self.tenant, uuid4().hex)
        answer = await answered(self.running[process], query, body, context)
        assert isinstance(answer, Accepted), answer
        return answer.result

    def tell(self, process: int, command: str, body: dict[str, Any]) -> None:
        message_id = f"{self.tenant}/{next(self.numbers)}"
        answer = self.ask(process, command, body, message_id)
        self.sent.append((command, body, message_id, answer))
        self.note(answer)

    def note(self, answer: Accepted | Refused) -> None:
        """What an answer says of a progress was recorded, and nothing recorded before is missing from it."""
        if isinstance(answer, Refused):
            assert answer.problem.code in ("refused", "invalid"), answer
            return
        shown = answer.result["progress"]
        known = self.recorded.get(shown["id"], (0, 0.0))
        if shown["version"] >= known[0]:
            assert shown["progress"] >= known[1]
            self.recorded[shown["id"]] = shown["version"], shown["progress"]

    def ask(self, process: int, command: str, body: dict[str, Any], message_id: str) -> Accepted | Refused:
        answer = self.run(executed(self.running[process], command, body, Context(self.tenant, message_id)))
        assert isinstance(answer, Accepted | Refused)
        return answer

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)


def plain(answer: Accepted | Refused) -> Any:
    """What the answer says, as it goes over the wire and is kept."""
    return from_json(to_json({**answer.to_wire(), "position": None}))


async def test_no_sequence_of_commands_takes_back_what_was_recorded(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as one, system(fresh_database_url) as two:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(
            run_state_machine_as_test,
            lambda: Everybody((one, two), loop),
            settings=settings(
                max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
        rebuilt = await rebuild_read_model(fresh_database_url, "progress", lambda done, total: None, verify=True)
        assert rebuilt.equal
