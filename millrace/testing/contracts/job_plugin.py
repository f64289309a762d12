"""What every plug-in of jobs does."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from millrace import Job, JobPlugin
from millrace.events import Event
from millrace.job_plugins import PluginHooks
from millrace.plugin_hooks import MAX_NAME
from millrace.testing.contracts.bench import Bench, MemoryBench

WORKS, BREAKS = "contract.works", "contract.breaks"
DATA: tuple[dict[str, Any], ...] = ({}, {"größe": [1, None, {"deep": [{}]}]}, {"n": 2**60, "text": "x" * 10_000})


class JobPluginContract:
    """The fixture `plugin` is one that nobody has called yet. It is told of jobs that have run in the service of the
    fixture `bench`, which is the service in memory unless a subclass has another."""

    @pytest.fixture
    async def bench(self) -> AsyncIterator[Any]:
        bench = MemoryBench()
        yield bench
        await bench.app.close()

    async def test_it_has_hooks_and_a_name_to_keep_its_place_under(self, bench: Bench, plugin: JobPlugin) -> None:
        """Its place in the log is found again by the name, after a restart and in every process."""
        name = PluginHooks(bench.app, plugin, Counter()).name
        assert name.isprintable()
        assert 0 < len(name) <= MAX_NAME
        bench.app.jobs.register_plugin(plugin)
        assert f"plugin:{name}" in bench.app.registry.subscriptions
        with pytest.raises(ValueError, match="plugin:"):
            bench.app.jobs.register_plugin(plugin)

    async def test_no_hook_fails_whatever_the_job_is(self, bench: Bench, plugin: JobPlugin) -> None:
        assert await failures(bench, plugin, await lives(bench)) == 0

    async def test_what_is_told_twice_and_late_does_no_harm(self, bench: Bench, plugin: JobPlugin) -> None:
        """Events come at least once: after a crash some come again, even when newer ones have been told."""
        events = await lives(bench)
        assert await failures(bench, plugin, [*events, *events]) == 0
        assert await failures(bench, plugin, events[::-1]) == 0

    async def test_jobs_that_it_was_told_of_are_left_as_they_were(self, bench: Bench, plugin: JobPlugin) -> None:
        """Other plug-ins, and later hooks of this one, are told of the same jobs."""
        kept: list[tuple[Job, Job]] = []

        class Watched(PluginHooks):
            def __init__(self) -> None:
                super().__init__(bench.app, plugin, Counter())
                self._hooks = {event: [*map(self._watched, hooks)] for event, hooks in self._hooks.items()}

            def _watched(self, hook: Any) -> Any:
                def call(job: Job) -> Any:
                    kept.append((job, job.model_copy(deep=True)))
                    return hook(job)

                return call

        hooks = Watched()
        for event in await lives(bench):
            await hooks(event)
        assert kept
        for told, before in kept:
            assert told == before


async def lives(bench: Bench) -> list[Event]:
    """Everything that has happened to jobs that completed, failed and were retried, with all kinds of data."""
    app = bench.app
    if WORKS not in app.registry.jobs:

        @app.job(WORKS)
        async def works(**data: Any) -> Any:
            return data

        @app.job(BREAKS, max_attempts=2, retry={"kind": "fixed", "delay": 0.01, "jitter": 0})
        async def breaks(**data: Any) -> Any:
            raise RuntimeError("größe")

    jobs = [await app.jobs.enqueue(name, data) for name in (WORKS, BREAKS) for data in DATA]
    await bench.run(*jobs, seconds=1)
    return [event for job in jobs for event in await app.history("job", job.id)]


async def failures(bench: Bench, plugin: JobPlugin, events: list[Event]) -> int:
    """How many hooks have failed when they were told these events."""
    counted: Counter[str] = Counter()
    hooks = PluginHooks(bench.app, plugin, counted)
    for event in events:
        await hooks(event)
    return counted.total()
