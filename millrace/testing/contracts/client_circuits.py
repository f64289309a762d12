"""Circuit breakers as an application sees them."""

from __future__ import annotations

import pytest

from millrace import Invalid, NotFound
from millrace.contracts.circuit import Circuit
from millrace.testing.contracts.bench import Bench, claim, head, working

POLICY = {"failures": 2, "window": 60, "pause": 2}
ERROR = {"type": "OSError", "message": "no route to host"}


class CircuitsContract:
    async def test_a_name_that_fails_too_often_pauses_is_tried_and_goes_on(self, bench: Bench) -> None:
        await bench.app.circuits.configure("n", POLICY)
        # What it opens on is counted by whatever process the reports come to, once that knows of it.
        await bench.until(bench.app.circuits.list, lambda found: [each.name for each in found] == ["n"])
        for _ in range(6):
            await bench.app.jobs.enqueue("n", max_attempts=1)
        other = await bench.app.jobs.enqueue("m")
        opened = await failing(bench)
        assert (opened.state, opened.until is not None) == ("open", True)
        assert opened.reason is not None
        assert "failed within 60 s" in opened.reason
        [told] = (await bench.app.jobs.stats(details=True)).circuits
        assert (told.name, told.state, told.reason) == ("n", "open", opened.reason)
        assert [grant["job_id"] for grant in await claim(bench.app, 10)] == [other.id], "only the name is paused"
        [newest, *_] = await bench.app.jobs.list(name="n", status="pending", min_position=await head(bench.app))
        why = await bench.app.jobs.why(newest.id)
        assert (why.code, "circuit" in why.reason) == ("circuit-open", True)

        async def on_trial() -> list[str]:
            return [grant["job_id"] for grant in await claim(bench.app, 10)]

        [tried] = await bench.until(on_trial, lambda grants: grants)
        assert await on_trial() == [], "one on trial is enough"
        await bench.app.execute("job.report", {"job_id": tried, "attempt": 1, "outcome": "completed"})
        assert newest.id in await bench.until(on_trial, lambda grants: len(grants) > 1)
        kinds = [event.eventtype for event in await bench.app.history("circuit", "n")]
        assert kinds == ["circuit.configured", "circuit.opened", "circuit.half_opened", "circuit.closed"]

    async def test_a_circuit_is_closed_by_hand(self, bench: Bench) -> None:
        await bench.app.circuits.configure("n", {**POLICY, "pause": 3_600})
        for _ in range(4):
            await bench.app.jobs.enqueue("n", max_attempts=1)
        await failing(bench)
        await bench.app.circuits.reset("n", "the route is back")
        await bench.until(lambda: claim(bench.app, 10), lambda grants: grants)
        [*_, closed] = await bench.app.history("circuit", "n")
        assert (closed.eventtype, closed.data) == ("circuit.closed", {"reason": "the route is back"})
        with pytest.raises(NotFound):
            await bench.app.circuits.reset("nobody")

    async def test_a_worker_declares_what_its_jobs_were_given(self, bench: Bench) -> None:
        @bench.app.job("declared", circuit={"rate": 0.5, "minimum": 20})
        async def declared() -> None: ...

        if bench.capabilities.virtual_clock:
            await bench.run()
        else:
            async with working(bench.app):
                await bench.until(lambda: bench.app.circuits.get("declared"), lambda found: found)
        circuit = await bench.app.circuits.get("declared")
        assert circuit is not None
        assert (circuit.state, circuit.policy.rate, circuit.policy.minimum) == ("closed", 0.5, 20)

    async def test_a_circuit_that_nothing_opens_is_refused(self, bench: Bench) -> None:
        with pytest.raises(Invalid, match="never opens"):
            await bench.app.circuits.configure("n", {"window": 5})
        assert await bench.app.circuits.get("n") is None


async def failing(bench: Bench, queue: str = "default") -> Circuit:
    """Has jobs of the name fail one after the other until its circuit is open."""

    async def fail() -> Circuit | None:
        for grant in await claim(bench.app, 1, queue):
            failed = {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": "failed", "error": ERROR}
            if grant["name"] == "n":
                await bench.app.execute("job.report", failed)
                await bench.app.jobs.enqueue("n", queue=queue, max_attempts=1)
            else:
                await bench.app.execute("job.report", {**failed, "outcome": "returned", "error": None})
        return await bench.app.circuits.get("n")

    found = await bench.until(fail, lambda circuit: circuit is not None and circuit.state == "open")
    assert found is not None
    return found
