"""One phase of a run: a stack, the workload, the consumers and the nemesis together, and then the verdict."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.harness import reading
from tests.faults.harness.checkers import Event
from tests.faults.harness.folders import made
from tests.faults.harness.forger import Forger
from tests.faults.harness.history import History, Injected
from tests.faults.harness.nemesis import Nemesis
from tests.faults.harness.observers import RELAY_QUEUE, Follower, Prober, QueueReader, delivered
from tests.faults.harness.schedule import Fault, schedule
from tests.faults.harness.stack import Plan, Stack
from tests.faults.harness.traces import Trace
from tests.faults.harness.verdict import Evidence, judged
from tests.faults.harness.waiting import until
from tests.faults.harness.workload import POISON, TENANTS, Mix, Workload, orders

USUAL = Mix()
MODELS = ("jobs", "subscriptions")
QUEUE_TENANT = TENANTS[1]
DURABLE_TENANT = TENANTS[0]
RECOVERY_SECONDS = 60.0
COMPARE_EVERY = 20.0
FORGERS = 8


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase does.

    Attributes:
        faults: how many of each kind; the order is the seed's.
        pause: seconds between two faults, from least to most.
        jobs: how many jobs at least; the workload goes on as long as the nemesis.
        settle: seconds after the last heal within which every job must have ended.
        limit: seconds after which the nemesis is taken to hang.
        patience: seconds that the consumers get at the end to catch up.
        quick: network faults and freezes last a third of what they do otherwise.
    """

    name: str
    plan: Plan
    faults: Mapping[str, int]
    mix: Mix = USUAL
    pause: tuple[float, float] = (0.2, 1.0)
    jobs: int = 300
    ahead: int = 400
    settle: float = 60.0
    limit: float = 1_200.0
    quick: bool = False
    patience: float = 30.0


@dataclass(slots=True)
class Outcome:
    """What a phase came to.

    Attributes:
        settled: seconds from the last heal until every job had ended.
        recoveries: (fault, seconds from its end until a command was answered again), slowest first.
        slowest_answer: seconds that the slowest probe of a running service took.
        late_tried: reports of superseded attempts that were sent; none may be accepted.
        poison: jobs that always fail, by name.
        compared: rebuilds that found the live read model equal.
        doubtful: commands whose outcome was unknown at first.
        repeated: messages that a consumer with at-least-once delivery got more than once.
    """

    phase: str
    seed: int
    findings: dict[str, list[str]]
    faults: Counter[str]
    jobs: int = 0
    events: int = 0
    attempts: int = 0
    seconds: float = 0.0
    settled: float | None = None
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    slowest_answer: float = 0.0
    late_tried: int = 0
    repeated: int = 0
    compared: int = 0
    poison: Counter[str] = field(default_factory=Counter)
    doubtful: int = 0
    folder: str = ""


Progress = Callable[[str, int, int], None]


class PhaseRun:
    """Runs a phase once, in a folder of its own."""

    def __init__(self, phase: Phase, seed: int, folder: Path, progress: Progress = lambda what, done, of: None) -> None:
        self._phase, self._seed, self._progress = phase, seed, progress
        self._history = History(folder / "history.jsonl")
        self._stack = Stack(folder, phase.plan, self._history)
        self._forger = Forger(self._history)
        self._noted: dict[str, list[str]] = defaultdict(list)
        self._tasks: list[asyncio.Task[None]] = []
        self._followers: list[Follower] = []
        self._queues: list[QueueReader] = []
        self._canaries = 0
        self._compared = 0
        self._nemesis: Nemesis | None = None

    async def run(self) -> Outcome:
        """Returns what the checkers found; never raises for what the system under test did wrong."""
        began = time.monotonic()
        try:
            await self._start()
            await self._storm()
            outcome = await self._verdict()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._stack.close()
            self._history.close()
        outcome.seconds = time.monotonic() - began
        return outcome

    async def _start(self) -> None:
        stack = self._stack
        await stack.start()
        if stack.broker_url is not None:
            wiped = self._phase.faults.get("broker.wipe", 0) > 0
            relay = Trace("queue of all events", None, whole=not wiped, ordered=False)
            queue = Trace("subscription's queue", QUEUE_TENANT)
            self._queues = [
                QueueReader(stack.broker_url, RELAY_QUEUE, relay, bind=True),
                QueueReader(stack.broker_url, f"millrace.sub.{QUEUE_TENANT}.faults-queue", queue, bind=False),
            ]
            await self._queues[0].prepare()
        await stack.start_services()
        doors = stack.doors
        if stack.broker_url is not None:
            await stack.clients["http-1", QUEUE_TENANT].subscriptions.create(
                "faults-queue", "#", delivery="queue", start="beginning"
            )
        for number, tenant in enumerate(TENANTS):
            client = stack.clients[doors[number % len(doors)], tenant]
            self._followers.append(Follower(client, tenant, f"follower of {tenant}", self._forger))
        self._watch(*(follower.run() for follower in self._followers), *(reader.run() for reader in self._queues))
        self._watch(*(self._forger.run() for _ in range(FORGERS)))
        for service in stack.apis:
            self._watch(Prober(service.url, service.name, self._history, lambda s=service: s.running).run())  # type: ignore[misc]

    def _watch(self, *work: Coroutine[Any, Any, None]) -> None:
        self._tasks += [asyncio.create_task(each) for each in work]

    async def _storm(self) -> None:
        """The workload and the nemesis, until both are through."""
        phase, stack = self._phase, self._stack
        self._workload = Workload(
            stack.clients, self._history, orders(self._seed, stack.doors, phase.mix), self._ended, ahead=phase.ahead
        )
        faults = schedule(self._seed, phase.name, phase.faults, phase.pause, 1 / 3 if phase.quick else 1.0)
        done = 0

        def count(_: Fault) -> None:
            nonlocal done
            done += 1
            self._progress(phase.name, done, len(faults))

        self._progress(phase.name, 0, len(faults))
        self._nemesis = nemesis = Nemesis(stack, self._recovered, count)
        over = asyncio.Event()
        work = asyncio.create_task(self._workload.run(lambda: over.is_set() and self._workload.sent >= phase.jobs))
        comparing = asyncio.create_task(self._compare_again_and_again())
        try:
            async with asyncio.timeout(phase.limit):
                await until(lambda: self._ended() > 0 or work.done(), RECOVERY_SECONDS, "the first job has ended")
                await nemesis.run(faults)
        except TimeoutError as error:
            self._noted["C10 no recovery"].append(f"the nemesis was stopped: {error!r}")
        finally:
            self._noted["C10 no recovery"] += nemesis.missed
            over.set()
            comparing.cancel()
            await asyncio.gather(comparing, return_exceptions=True)
        done_in_time, _ = await asyncio.wait({work}, timeout=phase.settle)
        if not done_in_time:
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        self._settled = await self._settle(nemesis)

    async def _settle(self, nemesis: Nemesis) -> float | None:
        """Seconds from the last heal until every accepted job had ended; None where they did not within the limit."""
        jobs = {each["job_id"] for each in self._history.accepted if each.get("name") == "job.enqueue"}
        began = time.monotonic()

        async def quiet() -> bool:
            await asyncio.sleep(0.1)
            everybody = set().union(*(follower.ended for follower in self._followers))
            return jobs <= everybody

        try:
            await until(quiet, max(1.0, self._phase.settle - (began - nemesis.last_healed)), "every job has ended")
        except TimeoutError:
            return None
        settled = time.monotonic() - nemesis.last_healed
        with suppress(TimeoutError):
            await until(lambda: self._forger.idle, self._phase.patience, "every late report has been tried")
        return settled

    async def _recovered(self, door: str) -> None:
        self._canaries += 1
        try:
            async with asyncio.timeout(RECOVERY_SECONDS):
                await self._workload.canary(door, TENANTS[self._canaries % len(TENANTS)], self._canaries)
        except TimeoutError:
            self._noted["C10 no recovery"].append(f"no command was answered at {door} within {RECOVERY_SECONDS:g} s")

    def _ended(self) -> int:
        return sum(len(follower.ended) for follower in self._followers)

    async def _compare_again_and_again(self) -> None:
        """P5 holds at any time, so it is looked at while the storm goes on."""
        while True:
            await asyncio.sleep(COMPARE_EVERY)
            for model in MODELS:
                await self._compare(model, final=False)

    async def _compare(self, model: str, *, final: bool) -> None:
        """Rebuilds a read model beside the live one; only a difference, or no answer at the end, is a finding."""
        try:
            code, output = await self._stack.services[0].command("rebuild", model, database=self._stack.postgres.url)
        except TimeoutError:
            code, output = 1, "no answer within a minute"
        if code == 0:
            self._compared += 1
        elif "equal to the live one: NO" in output or final:
            self._noted["C5 rebuild differs"].append(f"{model}: {output.strip()[-400:]}")

    async def _verdict(self) -> Outcome:
        stack, history, url = self._stack, self._history, self._stack.postgres.url
        for model in MODELS:
            await self._compare(model, final=True)
        if self._forger.accepted:
            self._noted["C3 late reports accepted"] += self._forger.accepted
        runs = self._runs()
        try:
            stored = await reading.everything(url)
        except reading.UNREADABLE as error:
            self._noted["C1 lost"].append(f"the database cannot be read any more: {error!r}")
            stored = reading.Stored()
        self._noted["C5 held streams"] += stored.held
        log = stored.log
        (stack.folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in log))
        traces = await self._traces_up_to(log)
        evidence = Evidence(history, log, runs, traces, stored.rows, stored.reached, self._excused(), self._noted)
        return Outcome(
            phase=self._phase.name, seed=self._seed, findings=judged(evidence),
            faults=Counter(fault["kind"] for fault in history.faults),
            jobs=sum(event["eventtype"] == "job.enqueued" for event in log), events=len(log),
            attempts=sum(event["eventtype"] == "job.started" for event in log), settled=self._settled,
            recoveries=sorted(self._nemesis.recoveries if self._nemesis else [], key=lambda each: -each[1])[:10],
            slowest_answer=max((probe["took"] for probe in history.probes), default=0.0),
            late_tried=self._forger.tried, compared=self._compared, doubtful=len(history.doubtful),
            poison=Counter(
                event["data"]["name"]
                for event in log
                if event["eventtype"] == "job.enqueued" and event["data"]["name"] in POISON
            ),
            repeated=sum(trace.repeated for trace in traces if not trace.exact),
            folder=str(stack.folder),
        )  # fmt: skip

    async def _traces_up_to(self, log: Sequence[Event]) -> list[Trace]:
        """The traces once they hold what the log holds, or as they are after a deadline, without what came later."""

        async def caught_up() -> bool:
            await asyncio.sleep(0.2)
            return all(trace.holds(log) for trace in self._traces())

        with suppress(TimeoutError):
            await until(caught_up, self._phase.patience, "every consumer has caught up")
        traces = self._traces()
        for trace in traces:
            trace.cut(log)
        return traces

    def _traces(self) -> list[Trace]:
        traces = [follower.trace for follower in self._followers] + [reader.trace for reader in self._queues]
        if self._phase.plan.subscriber:
            file = self._stack.seen(DURABLE_TENANT)
            traces.append(delivered(file, Trace("durable subscription", DURABLE_TENANT)))
        return traces

    def _runs(self) -> list[tuple[str, int]]:
        lines = self._stack.runs.read_text().splitlines() if self._stack.runs.exists() else []
        return [(job, int(attempt)) for job, attempt in (line.split() for line in lines)]

    def _excused(self) -> dict[str, list[Injected]]:
        """A service that is killed or frozen cannot answer; which one it was, the seed decides, so all are excused."""
        own = [fault for fault in self._history.faults if fault["kind"].partition(".")[0] in ("service", "crash")]
        return {service.name: own for service in self._stack.services}


async def run_phase(phase: Phase, seed: int, folder: Path, progress: Progress = lambda what, done, of: None) -> Outcome:
    """Runs a phase in a new folder."""
    return await PhaseRun(phase, seed, made(folder), progress).run()
