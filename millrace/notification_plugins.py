"""Plug-ins of notifications: code that is told what was sent, what has arrived and what was read, whoever sent it.

Their hooks follow the log as a durable subscription, so they see what was committed, at least once, and no rebuild.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from millrace.contracts.notification import Notification
from millrace.errors import PluginUnusable
from millrace.events import Event
from millrace.job_plugins import MAX_ATTEMPTS, name_of

if TYPE_CHECKING:
    from millrace.client import Millrace

F = TypeVar("F", bound=Callable[..., Any])
PATTERN = "notification.*"
HOOKS: Mapping[str, tuple[str, str]] = {
    "notification.created": ("on_send", "on_notification_send"),
    "notification.sent": ("on_deliver", "on_notification_deliver"),
    "notification.delivered": ("on_deliver", "on_notification_deliver"),
    "notification.read": ("on_read", "on_notification_read"),
}
log = structlog.get_logger("millrace.plugins")


class NotificationPlugin:
    """Base of plug-ins; override what is wanted, `async def` or plain. Hooks get the notification as it was then.

    `on_notification_send`, `on_notification_deliver` and `on_notification_read` are other names of the hooks.

    Attributes:
        name: what the plug-in's place in the log is kept under; default its module and class.
    """

    name: str = ""

    def on_send(self, notification: Notification) -> Awaitable[None] | None:
        """It was accepted."""

    def on_deliver(self, notification: Notification) -> Awaitable[None] | None:
        """One of its channels has sent or delivered it; `deliveries` says which."""

    def on_read(self, notification: Notification) -> Awaitable[None] | None:
        """The user has read it, by itself or with the whole inbox."""


class PluginHooks:
    """One plug-in's subscription. A hook that fails is logged and counted, and not called again for that event."""

    def __init__(self, app: Millrace, plugin: NotificationPlugin, failures: Counter[str]) -> None:
        self._app, self._failures = app, failures
        self.name = plugin.name or name_of(type(plugin))
        self._hooks = {event: hook for event in HOOKS if (hook := _overridden(plugin, event)) is not None}
        if not self._hooks:
            names = ", ".join(dict.fromkeys(name for name, _ in HOOKS.values()))
            raise PluginUnusable(self.name, f"it has none of the hooks {names}")

    async def __call__(self, event: Event) -> None:
        hook = self._hooks.get(event.eventtype)
        if hook is None:
            return
        told = await self._app.state("notification", event.subject, at=event.version)
        notification = Notification.model_validate({**told["state"], "id": event.subject})
        try:
            result = hook(notification)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            self._failures[self.name] += 1
            log.exception(
                "a plug-in's hook failed",
                plugin=self.name,
                event_type=event.eventtype,
                notification_id=notification.id,
                failures=self._failures[self.name],
                error=repr(error),
            )


class NotificationHooks:
    """The part of `Notifications` that extends it.

    Attributes:
        plugin_failures: how often a hook of each plug-in has failed in this process.
    """

    _app: Millrace
    plugin_failures: Counter[str]

    def register_plugin(self, plugin: NotificationPlugin) -> None:
        """Has the plug-in's hooks called by whichever worker delivers subscriptions, from now on.

        Raises:
            PluginUnusable: it has no hooks.
            ValueError: another plug-in has its name.
        """
        hooks = PluginHooks(self._app, plugin, self.plugin_failures)
        self._app.on(PATTERN, name=f"notifications:{hooks.name}", max_attempts=MAX_ATTEMPTS)(hooks)

    def on_send(self, function: F) -> F:
        """Calls `f(notification)` for every notification that was accepted; see `NotificationPlugin`."""
        return self._hooked("on_send", function)

    def on_deliver(self, function: F) -> F:
        """Calls `f(notification)` for every channel that has sent or delivered; see `NotificationPlugin`."""
        return self._hooked("on_deliver", function)

    def on_read(self, function: F) -> F:
        """Calls `f(notification)` for every notification that was read; see `NotificationPlugin`."""
        return self._hooked("on_read", function)

    def _hooked(self, hook: str, function: F) -> F:
        plugin = NotificationPlugin()
        plugin.name = name_of(function, f":{hook}")
        setattr(plugin, hook, function)
        self.register_plugin(plugin)
        return function


def _overridden(plugin: NotificationPlugin, event: str) -> Callable[[Notification], Any] | None:
    name, alias = HOOKS[event]
    own = getattr(plugin, name)
    if getattr(own, "__func__", own) is not getattr(NotificationPlugin, name):
        return own  # type: ignore[no-any-return]
    hook: Callable[[Notification], Any] | None = getattr(plugin, alias, None)
    return hook
