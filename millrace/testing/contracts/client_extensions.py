"""What an application adds to its jobs: middleware around the handlers, and plug-ins told what became of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace import Job, JobContext, JobPlugin, JobStatus, PluginUnusable
from millrace.testing.contracts.bench import Bench

AT_ONCE = {"kind": "fixed", "delay": 0.05, "jitter": 0}


class ExtensionsContract:
    @pytest.mark.parametrize("how", ["coroutine", "plain"])
    async def test_middleware_goes_around_the_handler_in_its_order(self, bench: Bench, how: str) -> None:
        order: list[Any] = []
        jobs = bench.app.jobs

        @jobs.around
        async def outer(job: JobContext, call_next: Any) -> Any:
            order.append("outer")
            return {"wrapped": await call_next()}

        @jobs.before
        def note(job: JobContext) -> None:
            order.append(("before", job.data["n"]))

        @jobs.after
        async def praise(job: JobContext, result: Any) -> None:
            order.append(("after", result))

        async def double(n: int) -> int:
            return 2 * n

        def plain(n: int) -> int:
            return 2 * n

        bench.app.job("double")(double if how == "coroutine" else plain)
        [ended] = await bench.run(await jobs.enqueue("double", {"n": 21}))
        assert (order, ended.result) == (["outer", ("before", 21), ("after", 42)], {"wrapped": 42})

    async def test_what_middleware_raises_fails_the_attempt_and_errors_pass_through_it(self, bench: Bench) -> None:
        seen: list[str] = []

        @bench.app.jobs.on_error
        def note(job: JobContext, error: Exception) -> None:
            seen.append(repr(error))

        @bench.app.jobs.before
        async def forbid(job: JobContext) -> None:
            if job.attempt == 1:
                raise PermissionError("not yet")

        @bench.app.job(retry=AT_ONCE, max_attempts=2)
        async def broken() -> None:
            raise RuntimeError("no")

        [ended] = await bench.run(await bench.app.jobs.enqueue("broken"), seconds=1)
        assert seen == ["PermissionError('not yet')", "RuntimeError('no')"]
        assert [error.message for error in ended.errors] == ["not yet", "no"]

    async def test_a_plain_function_cannot_go_around_a_handler(self, bench: Bench) -> None:
        def outer(job: JobContext, call_next: Any) -> Any: ...

        with pytest.raises(TypeError, match="async def"):
            bench.app.jobs.around(outer)

    async def test_a_plug_in_is_told_what_became_of_jobs(self, bench: Bench) -> None:
        told: list[tuple[str, str, JobStatus, Any]] = []
        ended = asyncio.Event()

        class Watch(JobPlugin):
            name = "watch"

            async def on_enqueue(self, job: Job) -> None:
                told.append(("enqueue", job.name, job.status, job.data))

            def on_start(self, job: Job) -> None:
                told.append(("start", job.name, job.status, job.attempts))

            async def on_job_complete(self, job: Job) -> None:
                told.append(("complete", job.name, job.status, job.result))
                ended.set()

            async def on_fail(self, job: Job) -> None:
                told.append(("fail", job.name, job.status, job.error))

        bench.app.jobs.register_plugin(Watch())
        await settled(bench, "plugin:watch")

        @bench.app.job(max_attempts=1)
        async def broken() -> None:
            raise RuntimeError("no")

        @bench.app.job
        async def add(a: int) -> int:
            return a + 1

        await bench.run(await bench.app.jobs.enqueue("broken"), await bench.app.jobs.enqueue("add", {"a": 1}))
        await bench.deliver(ended)
        assert [each for each in told if each[1] == "broken"] == [
            ("enqueue", "broken", JobStatus.PENDING, {}),
            ("start", "broken", JobStatus.PROCESSING, 1),
            ("fail", "broken", JobStatus.FAILED, "no"),
        ]
        assert [each for each in told if each[1] == "add"] == [
            ("enqueue", "add", JobStatus.PENDING, {"a": 1}),
            ("start", "add", JobStatus.PROCESSING, 1),
            ("complete", "add", JobStatus.COMPLETED, 2),
        ]

    async def test_a_hook_that_fails_is_counted_and_breaks_nothing(self, bench: Bench) -> None:
        done, failed, starts = asyncio.Event(), asyncio.Event(), 0

        @bench.app.jobs.on_start
        async def broken(job: Job) -> None:
            nonlocal starts
            starts += 1
            if starts == 2:
                failed.set()
            raise RuntimeError("the pager is off")

        @bench.app.jobs.on_complete
        async def note(job: Job) -> None:
            if job.data == {"n": 2}:
                done.set()

        [failing, working] = list(bench.app.registry.subscriptions)
        await settled(bench, failing, working)

        @bench.app.job
        async def n(n: int) -> None: ...

        jobs = [await bench.app.jobs.enqueue("n", {"n": number}) for number in (1, 2)]
        assert [job.status for job in await bench.run(*jobs)] == [JobStatus.COMPLETED] * 2
        await bench.deliver(done)
        await bench.deliver(failed)
        assert bench.app.jobs.plugin_failures == {failing.removeprefix("plugin:"): 2}
        subscription = await bench.app.subscriptions.get(failing)
        assert subscription is not None
        assert list(subscription.parked) == []

    async def test_a_plug_in_without_hooks_and_a_second_one_of_a_name_are_refused(self, bench: Bench) -> None:
        class Idle(JobPlugin): ...

        class Busy(JobPlugin):
            name = "busy"

            def on_start(self, job: Job) -> None: ...

        with pytest.raises(PluginUnusable, match="on_complete"):
            bench.app.jobs.register_plugin(Idle())
        bench.app.jobs.register_plugin(Busy())
        with pytest.raises(ValueError, match="busy"):
            bench.app.jobs.register_plugin(Busy())


async def settled(bench: Bench, *subscriptions: str) -> None:
    """Creates the subscriptions as a worker does at its start, so that they begin here."""
    for name in subscriptions:
        definition = bench.app.registry.subscriptions[name]
        await bench.app.subscriptions.create(name, definition.pattern, max_attempts=definition.max_attempts)
