"""One phase of a run: a stack, the workload, the consumers and the nemesis together, and then the verdict."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.faults.harness import reading
from tests.faults.harness.comparison import Comparison
from tests.faults.harness.consumers import Consumers
from tests.faults.harness.folders import made
from tests.faults.harness.history import History, Injected
from tests.faults.harness.nemesis import Nemesis
from tests.faults.harness.phase import Outcome, Phase
from tests.faults.harness.schedule import Fault, schedule
from tests.faults.harness.stack import Stack
from tests.faults.harness.verdict import Evidence, judged
from tests.faults.harness.waiting import until
from tests.faults.harness.workload import POISON, TENANTS, Workload, orders

RECOVERY_SECONDS = 60.0

Progress = Callable[[str, int, int], None]


class PhaseRun:
    """Runs a phase once, in a folder of its own."""

    def __init__(self, phase: Phase, seed: int, folder: Path, progress: Progress = lambda what, done, of: None) -> None:
        self._phase, self._seed, self._progress = phase, seed, progress
        self._history = History(folder / "history.jsonl")
        self._stack = Stack(folder, phase.plan, self._history)
        self._consumers = Consumers(self._stack, self._history, wiped=phase.faults.get("broker.wipe", 0) > 0)
        self._comparison = Comparison(self._stack)
        self._noted: dict[str, list[str]] = defaultdict(list)
        self._canaries = 0
        self._nemesis: Nemesis | None = None

    async def run(self) -> Outcome:
        """Returns what the checkers found; never raises for what the system under test did wrong."""
        began = time.monotonic()
        try:
            await self._stack.start()
            await self._consumers.prepare()
            await self._stack.start_services()
            await self._consumers.start()
            await self._storm()
            outcome = await self._verdict()
        finally:
            await self._consumers.close()
            await self._stack.close()
            self._history.close()
        outcome.seconds = time.monotonic() - began
        return outcome

    async def _storm(self) -> None:
        """The workload and the nemesis, until both are through."""
        phase, stack = self._phase, self._stack
        self._workload = Workload(
            stack.clients, self._history, orders(self._seed, stack.doors, phase.mix), self._consumers.count_ended,
            ahead=phase.ahead, pace=phase.pace,
        )  # fmt: skip
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
        comparing = asyncio.create_task(self._comparison.again_and_again())
        try:
            async with asyncio.timeout(phase.limit):
                await until(
                    lambda: self._consumers.count_ended() > 0 or work.done(),
                    RECOVERY_SECONDS,
                    "the first job has ended",
                )
                await nemesis.run(faults)
        except TimeoutError as error:
            why = str(error) or f"the limit of {phase.limit:g} s is over"
            self._noted["C10 no recovery"].append(f"stopped after {done} of {len(faults)} faults: {why}")
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
            return jobs <= self._consumers.ended

        try:
            await until(quiet, max(1.0, self._phase.settle - (began - nemesis.last_healed)), "every job has ended")
        except TimeoutError:
            return None
        settled = time.monotonic() - nemesis.last_healed
        with suppress(TimeoutError):
            await until(lambda: self._consumers.forger.idle, self._phase.patience, "every late report has been tried")
        return settled

    async def _recovered(self, door: str) -> None:
        self._canaries += 1
        try:
            async with asyncio.timeout(RECOVERY_SECONDS):
                await self._workload.canary(door, TENANTS[self._canaries % len(TENANTS)], self._canaries)
        except TimeoutError:
            self._noted["C10 no recovery"].append(f"no command was answered at {door} within {RECOVERY_SECONDS:g} s")

    async def _verdict(self) -> Outcome:
        stack, history, url = self._stack, self._history, self._stack.postgres.url
        await self._comparison.once_more()
        self._noted["C5 rebuild differs"] += self._comparison.findings
        self._noted["C3 late reports accepted"] += self._consumers.forger.accepted
        runs = self._runs()
        try:
            stored = await reading.everything(url)
        except reading.UNREADABLE as error:
            self._noted["C1 lost"].append(f"the database cannot be read any more: {error!r}")
            stored = reading.Stored()
        self._noted["C5 held streams"] += stored.held
        log = stored.log
        (stack.folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in log))
        traces = await self._consumers.traces_up_to(log, self._phase.patience)
        evidence = Evidence(history, log, runs, traces, stored.rows, stored.reached, self._excused(), self._noted)
        return Outcome(
            phase=self._phase.name, seed=self._seed, findings=judged(evidence),
            faults=Counter(fault["kind"] for fault in history.faults),
            jobs=sum(event["eventtype"] == "job.enqueued" for event in log), events=len(log),
            attempts=sum(event["eventtype"] == "job.started" for event in log), settled=self._settled,
            recoveries=sorted(self._nemesis.recoveries if self._nemesis else [], key=lambda each: -each[1])[:10],
            slowest_answer=max((probe["took"] for probe in history.probes), default=0.0),
            late_tried=self._consumers.forger.tried, compared=self._comparison.equal, doubtful=len(history.doubtful),
            poison=Counter(
                event["data"]["name"]
                for event in log
                if event["eventtype"] == "job.enqueued" and event["data"]["name"] in POISON
            ),
            repeated=sum(trace.repeated for trace in traces if not trace.exact),
            folder=str(stack.folder),
        )  # fmt: skip

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
