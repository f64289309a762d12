"""What an application adds to the way its jobs run: middleware, hooks and plug-ins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from millrace.job_middleware import as_after, as_around, as_before, as_on_error
from millrace.job_plugins import PATTERN, JobPlugin, PluginHooks, installed_plugins
from millrace.plugin_hooks import MAX_ATTEMPTS, name_of

if TYPE_CHECKING:
    from millrace.client import Millrace

F = TypeVar("F", bound=Callable[..., Any])


class JobExtensions:
    """The part of a `JobQueue` that extends it.

    Attributes:
        plugin_failures: how often a hook of each plug-in has failed in this process.
    """

    _app: Millrace
    plugin_failures: Counter[str]

    def around(self, function: F) -> F:
        """Middleware `async def f(job, call_next)`: what it returns is the result, what it raises the failure.

        Raises:
            TypeError: the function is not `async def`.
        """
        self._app.registry.middleware.append(as_around(function))
        return function

    def before(self, function: F) -> F:
        """Middleware `f(job)` before the handler; what it raises fails the attempt."""
        self._app.registry.middleware.append(as_before(function))
        return function

    def after(self, function: F) -> F:
        """Middleware `f(job, result)` after a handler that has succeeded; what it raises fails the attempt."""
        self._app.registry.middleware.append(as_after(function))
        return function

    def on_error(self, function: F) -> F:
        """Middleware `f(job, error)` after a handler that has raised; the error stays."""
        self._app.registry.middleware.append(as_on_error(function))
        return function

    def register_plugin(self, plugin: JobPlugin) -> None:
        """Has the plug-in's hooks called by whichever worker delivers subscriptions, from now on.

        Raises:
            PluginUnusable: it has no hooks.
            ValueError: another plug-in has its name.
        """
        hooks = PluginHooks(self._app, plugin, self.plugin_failures)
        self._app.on(PATTERN, name=f"plugin:{hooks.name}", max_attempts=MAX_ATTEMPTS)(hooks)

    def load_plugins(self) -> None:
        """Registers the plug-ins of installed packages; `millrace worker` does so at its start.

        Raises:
            PluginUnusable: one of them cannot be loaded.
        """
        for plugin in installed_plugins():
            self.register_plugin(plugin)

    def on_enqueue(self, function: F) -> F:
        """Calls `f(job)` for every job that was accepted; see `JobPlugin`."""
        return self._hooked("on_enqueue", function)

    def on_start(self, function: F) -> F:
        """Calls `f(job)` for every attempt that was started; see `JobPlugin`."""
        return self._hooked("on_start", function)

    def on_complete(self, function: F) -> F:
        """Calls `f(job)` for every job that has ended with a result; see `JobPlugin`."""
        return self._hooked("on_complete", function)

    def on_fail(self, function: F) -> F:
        """Calls `f(job)` for every job that has joined the dead letters; see `JobPlugin`."""
        return self._hooked("on_fail", function)

    def _hooked(self, hook: str, function: F) -> F:
        plugin = JobPlugin()
        plugin.name = name_of(function, f":{hook}")
        setattr(plugin, hook, function)
        self.register_plugin(plugin)
        return function
