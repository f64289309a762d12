"""Plug-ins of notifications: code that is told what was sent, what has arrived and what was read, whoever sent it.

Their hooks follow the log as a durable subscription, so they see what was committed, at least once, and no rebuild.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from millrace.contracts.notification import Notification
from millrace.events import Event
from millrace.plugin_hooks import MAX_ATTEMPTS, EventHooks, Plugin, name_of

if TYPE_CHECKING:
    from millrace.client import Millrace

F = TypeVar("F", bound=Callable[..., Any])
PATTERN = "notification.*"
ALIASES: Mapping[str, str] = {
    "on_send": "on_notification_send",
    "on_deliver": "on_notification_deliver",
    "on_read": "on_notification_read",
}
HOOKS: Mapping[str, tuple[str, ...]] = {
    "notification.created": ("on_send",),
    "notification.sent": ("on_deliver",),
    "notification.delivered": ("on_deliver",),
    "notification.read": ("on_read",),
}


class NotificationPlugin(Plugin):
    """Base of plug-ins; override what is wanted, `async def` or plain. Hooks get the notification as it was then.

    `on_notification_send`, `on_notification_deliver` and `on_notification_read` are other names of the hooks.
    """

    def on_send(self, notification: Notification) -> Awaitable[None] | None:
        """It was accepted."""

    def on_deliver(self, notification: Notification) -> Awaitable[None] | None:
        """One of its channels has sent it, and again when it has been delivered; `deliveries` says which."""

    def on_read(self, notification: Notification) -> Awaitable[None] | None:
        """The user has read it, by itself or with the whole inbox."""


class PluginHooks(EventHooks):
    """One plug-in's subscription to what becomes of notifications."""

    def __init__(self, app: Millrace, plugin: NotificationPlugin, failures: Counter[str]) -> None:
        super().__init__(plugin, NotificationPlugin, HOOKS, ALIASES, failures)
        self._app = app

    async def as_it_was(self, event: Event) -> Notification:
        told = await self._app.state("notification", event.subject, at=event.version)
        return Notification.model_validate({**told["state"], "id": event.subject})


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
