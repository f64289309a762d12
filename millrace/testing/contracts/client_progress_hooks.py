"""What an application adds to progress: hooks, plug-ins and emitters that are told what was recorded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace import PluginUnusable, Progress, ProgressPlugin
from millrace.testing.contracts.bench import Bench
from millrace.testing.contracts.client_extensions import settled


class ProgressHooksContract:
    async def test_hooks_are_told_what_was_recorded(self, bench: Bench) -> None:
        told: list[tuple[str, Any]] = []
        ended, updated, changed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        tracker = bench.app.progress

        @tracker.on_update
        async def note_update(progress: Progress) -> None:
            told.append(("update", progress.progress))
            if progress.stage == "y":
                updated.set()

        @tracker.on_stage_change
        def note_stage(progress: Progress) -> None:
            told.append(("stage", progress.stage))
            if progress.stage == "y":
                changed.set()

        class Watch(ProgressPlugin):
            name = "watch"

            def on_fail(self, progress: Progress) -> None:
                told.append(("fail", progress.error))
                raise RuntimeError("the pager is off")

            async def on_progress_complete(self, progress: Progress) -> None:
                told.append(("complete", progress.result))
                ended.set()

        tracker.register_plugin(Watch())
        await settled(bench, *bench.app.registry.subscriptions)
        await tracker.create(id="a", stages=["x", "y"])
        await tracker.update("a", 100, "x")
        await tracker.update("a", 0, "y")
        await tracker.fail("a", "no")
        await tracker.resume("a")
        await tracker.complete("a", 7)
        for signal in (ended, updated, changed):
            await bench.deliver(signal)
        assert [each for each in told if each[0] in ("fail", "complete")] == [("fail", "no"), ("complete", 7)]
        assert [each for each in told if each[0] == "update"] == [("update", 50), ("update", 50)]
        assert [each for each in told if each[0] == "stage"] == [("stage", "x"), ("stage", "y")]
        assert tracker.plugin_failures == {"watch": 1}

    async def test_an_emitter_shows_every_event(self, bench: Bench) -> None:
        shown: list[tuple[str, Any]] = []
        done = asyncio.Event()

        class Emitter:
            async def emit(self, event: str, data: dict[str, Any]) -> None:
                shown.append((event, data["status"]))
                if data["status"] == "completed":
                    done.set()

        bench.app.progress.register_emitter(Emitter(), "screen")
        await settled(bench, *bench.app.registry.subscriptions)
        await bench.app.progress.create(id="a")
        await bench.app.progress.complete("a")
        await bench.deliver(done)
        assert shown == [("progress.update", "pending"), ("progress.update", "completed")]

    async def test_a_plug_in_without_hooks_is_refused(self, bench: Bench) -> None:
        class Idle(ProgressPlugin): ...

        with pytest.raises(PluginUnusable, match="on_stage_change"):
            bench.app.progress.register_plugin(Idle())
