"""Plug-ins: code that is told what became of jobs, whoever enqueued them and wherever they ran.

Their hooks follow the log as a durable subscription, so they see what was committed, at least once, and no rebuild.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from millrace.contracts.job import Job
from millrace.errors import PluginUnusable
from millrace.events import Event
from millrace.plugin_hooks import EventHooks, Plugin

if TYPE_CHECKING:
    from millrace.client import Millrace

GROUP = "millrace.jobs"
PATTERN = "job.*"
ALIASES: Mapping[str, str] = {
    "on_enqueue": "on_job_enqueue",
    "on_start": "on_job_start",
    "on_complete": "on_job_complete",
    "on_fail": "on_job_fail",
}
HOOKS: Mapping[str, tuple[str, ...]] = {
    "job.enqueued": ("on_enqueue",),
    "job.started": ("on_start",),
    "job.completed": ("on_complete",),
    "job.dead_lettered": ("on_fail",),
}


class JobPlugin(Plugin):
    """Base of plug-ins; override what is wanted, `async def` or plain. Hooks get the job as it was at that moment.

    `on_job_enqueue`, `on_job_start`, `on_job_complete` and `on_job_fail` are other names of the hooks.
    """

    def on_enqueue(self, job: Job) -> Awaitable[None] | None:
        """The job was accepted."""

    def on_start(self, job: Job) -> Awaitable[None] | None:
        """An attempt was started."""

    def on_complete(self, job: Job) -> Awaitable[None] | None:
        """The job ended with a result."""

    def on_fail(self, job: Job) -> Awaitable[None] | None:
        """The job joined the dead letters: no attempt is left, or none would help."""


class PluginHooks(EventHooks):
    """One plug-in's subscription to what becomes of jobs."""

    def __init__(self, app: Millrace, plugin: JobPlugin, failures: Counter[str]) -> None:
        super().__init__(plugin, JobPlugin, HOOKS, ALIASES, failures)
        self._app = app

    async def as_it_was(self, event: Event) -> Job:
        told = await self._app.state("job", event.subject, at=event.version)
        job = Job.model_validate({**told["state"], "id": event.subject, "version": told["version"]})
        return self._app.registry.codecs.job(job)


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
