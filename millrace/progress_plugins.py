"""Plug-ins of progress: code that is told how far work has got and how it ended, whoever tells it and wherever.

Their hooks follow the log as a durable subscription, so they see what was recorded, at least once, and no rebuild.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from millrace.contracts.progress import Progress, as_recorded
from millrace.events import Event
from millrace.plugin_hooks import MAX_ATTEMPTS, EventHooks, Plugin, call_hook, name_of

if TYPE_CHECKING:
    from millrace.client import Millrace

F = TypeVar("F", bound=Callable[..., Any])
PATTERN = "progress.*"
ALIASES: Mapping[str, str] = {
    "on_update": "on_progress_update",
    "on_complete": "on_progress_complete",
    "on_fail": "on_progress_fail",
    "on_stage_change": "on_progress_stage_change",
}
HOOKS: Mapping[str, tuple[str, ...]] = {
    "progress.updated": ("on_update",),
    "progress.stage_changed": ("on_stage_change", "on_update"),
    "progress.child_reported": ("on_update",),
    "progress.jobs_counted": ("on_update",),
    "progress.completed": ("on_complete",),
    "progress.failed": ("on_fail",),
}
NO_NEWS = frozenset({"progress.removed", "progress.checkpointed"})
UPDATE = "progress.update"


class ProgressPlugin(Plugin):
    """Base of plug-ins; override what is wanted, `async def` or plain. Hooks get the progress as it was at that moment.

    `on_progress_update`, `on_progress_complete`, `on_progress_fail` and `on_progress_stage_change` are other names.
    """

    def on_update(self, progress: Progress) -> Awaitable[None] | None:
        """It has got further, and that was recorded: about once a second."""

    def on_stage_change(self, progress: Progress) -> Awaitable[None] | None:
        """It has begun a stage."""

    def on_complete(self, progress: Progress) -> Awaitable[None] | None:
        """It is completed."""

    def on_fail(self, progress: Progress) -> Awaitable[None] | None:
        """It has failed; it may be resumed."""


class ProgressEmitter(Protocol):
    """What shows progress somewhere else."""

    def emit(self, event: str, data: dict[str, Any]) -> Awaitable[None] | None:
        """Shows one event, `progress.update`, with what is known of the progress."""
        ...


class PluginHooks(EventHooks):
    """One plug-in's subscription to how far work has got."""

    def __init__(self, app: Millrace, plugin: ProgressPlugin, failures: Counter[str]) -> None:
        super().__init__(plugin, ProgressPlugin, HOOKS, ALIASES, failures)
        self._app = app

    async def as_it_was(self, event: Event) -> Progress:
        return await progress_at(self._app, event)


class Emitting:
    """An emitter's subscription."""

    def __init__(self, app: Millrace, name: str, emitter: ProgressEmitter, failures: Counter[str]) -> None:
        self._app, self.name, self._emitter, self._failures = app, name, emitter, failures

    async def __call__(self, event: Event) -> None:
        if event.eventtype in NO_NEWS:
            return
        data = (await progress_at(self._app, event)).model_dump(mode="json")
        await call_hook(self.name, event, self._failures, self._emitter.emit, UPDATE, data)


class ProgressHooks:
    """The part of `ProgressTracker` that extends it.

    Attributes:
        plugin_failures: how often a hook of each plug-in has failed in this process.
    """

    _app: Millrace
    plugin_failures: Counter[str]

    def register_plugin(self, plugin: ProgressPlugin) -> None:
        """Has the plug-in's hooks called by whichever worker delivers subscriptions, from now on.

        Raises:
            PluginUnusable: it has no hooks.
            ValueError: another plug-in has its name.
        """
        hooks = PluginHooks(self._app, plugin, self.plugin_failures)
        self._app.on(PATTERN, name=f"progress:{hooks.name}", max_attempts=MAX_ATTEMPTS)(hooks)

    def register_emitter(self, emitter: ProgressEmitter, name: str | None = None) -> None:
        """Has every event shown by the emitter, by whichever worker delivers subscriptions, from now on.

        Args:
            name: what its place in the log is kept under; default its module and class.

        Raises:
            ValueError: another one has its name.
        """
        emitting = Emitting(self._app, name or name_of(type(emitter)), emitter, self.plugin_failures)
        self._app.on(PATTERN, name=f"progress-emitter:{emitting.name}", max_attempts=MAX_ATTEMPTS)(emitting)

    def on_update(self, function: F) -> F:
        """Calls `f(progress)` for every update that was recorded; see `ProgressPlugin`."""
        return self._hooked("on_update", function)

    def on_stage_change(self, function: F) -> F:
        """Calls `f(progress)` for every stage that was begun; see `ProgressPlugin`."""
        return self._hooked("on_stage_change", function)

    def on_complete(self, function: F) -> F:
        """Calls `f(progress)` for every progress that is completed; see `ProgressPlugin`."""
        return self._hooked("on_complete", function)

    def on_fail(self, function: F) -> F:
        """Calls `f(progress)` for every progress that has failed; see `ProgressPlugin`."""
        return self._hooked("on_fail", function)

    on_progress_update = on_update
    on_progress_stage_change = on_stage_change
    on_progress_complete = on_complete
    on_progress_fail = on_fail

    def _hooked(self, hook: str, function: F) -> F:
        plugin = ProgressPlugin()
        plugin.name = name_of(function, f":{hook}")
        setattr(plugin, hook, function)
        self.register_plugin(plugin)
        return function


async def progress_at(app: Millrace, event: Event) -> Progress:
    """The state at the event's version: later changes, even the removal, do not show."""
    told = await app.state("progress", event.subject, at=event.version)
    return as_recorded(event.subject, told["version"], told["state"])
