"""Plug-ins: code that is told what became of jobs, whoever enqueued them and wherever they ran.

Their hooks follow the log as a durable subscription, so they see what was committed, at least once, and no rebuild.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import structlog

from millrace.contracts.job import Job
from millrace.errors import PluginUnusable
from millrace.events import Event

if TYPE_CHECKING:
    from millrace.client import Millrace

log = structlog.get_logger("millrace.plugins")

GROUP = "millrace.jobs"
PATTERN = "job.*"
# A hook's own error is never retried; these are for when the service cannot be asked about the job.
MAX_ATTEMPTS = 100
MAX_NAME = 100
HOOKS: Mapping[str, tuple[str, str]] = {
    "job.enqueued": ("on_enqueue", "on_job_enqueue"),
    "job.started": ("on_start", "on_job_start"),
    "job.completed": ("on_complete", "on_job_complete"),
    "job.dead_lettered": ("on_fail", "on_job_fail"),
}


class JobPlugin:
    """Base of plug-ins; override what is wanted, `async def` or plain. Hooks get the job as it was at that moment.

    `on_job_enqueue`, `on_job_start`, `on_job_complete` and `on_job_fail` are other names of the hooks.

    Attributes:
        name: what the plug-in's place in the log is kept under; default its module and class.
    """

    name: str = ""

    def on_enqueue(self, job: Job) -> Awaitable[None] | None:
        """The job was accepted."""

    def on_start(self, job: Job) -> Awaitable[None] | None:
        """An attempt was started."""

    def on_complete(self, job: Job) -> Awaitable[None] | None:
        """The job ended with a result."""

    def on_fail(self, job: Job) -> Awaitable[None] | None:
        """The job joined the dead letters: no attempt is left, or none would help."""


class PluginHooks:
    """One plug-in's subscription. A hook that fails is logged and counted, and not called again for that event."""

    def __init__(self, app: Millrace, plugin: JobPlugin, failures: Counter[str]) -> None:
        self._app, self._failures = app, failures
        self.name = plugin.name or name_of(type(plugin))
        self._hooks = {event: hook for event in HOOKS if (hook := _overridden(plugin, event)) is not None}
        if not self._hooks:
            names = ", ".join(name for name, _ in HOOKS.values())
            raise PluginUnusable(self.name, f"it has none of the hooks {names}")

    async def __call__(self, event: Event) -> None:
        hook = self._hooks.get(event.eventtype)
        if hook is None:
            return
        # The state at the event's version: later changes, even the job's removal, do not show.
        told = await self._app.state("job", event.subject, at=event.version)
        told_job = Job.model_validate({**told["state"], "id": event.subject, "version": told["version"]})
        job = self._app.registry.codecs.job(told_job)
        try:
            result = hook(job)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            self._failures[self.name] += 1
            log.exception(
                "a plug-in's hook failed",
                plugin=self.name,
                event_type=event.eventtype,
                job_id=job.id,
                failures=self._failures[self.name],
                error=repr(error),
            )


def name_of(code: Callable[..., Any], suffix: str = "") -> str:
    """A lasting name after where the code is; a long one is cut, and stays one that nobody else has."""
    name = f"{code.__module__}.{code.__qualname__}{suffix}"
    if len(name) <= MAX_NAME:
        return name
    return f"{hashlib.sha256(name.encode()).hexdigest()[:16]}-{name[-(MAX_NAME - 17) :]}"


def plugin_of(entry_point: EntryPoint) -> JobPlugin:
    """The plug-in that an installed package offers: an instance, or a class that needs no arguments.

    Raises:
        PluginUnusable: it cannot be loaded, or is something else.
    """
    try:
        found = entry_point.load()
        plugin = found() if isinstance(found, type) else found
    except Exception as error:
        raise PluginUnusable(entry_point.name, f"{entry_point.value} cannot be loaded: {error!r}") from error
    if not isinstance(plugin, JobPlugin):
        raise PluginUnusable(entry_point.name, f"{entry_point.value} is no JobPlugin but {plugin!r}")
    return plugin


def installed_plugins() -> list[JobPlugin]:
    """The plug-ins of all installed packages, by the name of their entry point in the group `millrace.jobs`.

    Raises:
        PluginUnusable: one of them cannot be loaded.
    """
    return [plugin_of(each) for each in sorted(entry_points(group=GROUP), key=lambda each: each.name)]


def _overridden(plugin: JobPlugin, event: str) -> Callable[[Job], Any] | None:
    name, alias = HOOKS[event]
    own = getattr(plugin, name)
    if getattr(own, "__func__", own) is not getattr(JobPlugin, name):
        return own  # type: ignore[no-any-return]
    hook: Callable[[Job], Any] | None = getattr(plugin, alias, None)
    return hook
