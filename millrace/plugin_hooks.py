"""What the plug-ins of all modules have in common: hooks that are called for events, named and counted alike."""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from millrace.errors import PluginUnusable
from millrace.events import Event
from millrace.logs import Log

# A hook's own error is never retried; these are for when the service cannot be asked what an event was about.
MAX_ATTEMPTS = 100
MAX_NAME = 100
log = Log("millrace.plugins")


class Plugin:
    """Base of the plug-ins of all modules.

    Attributes:
        name: what the plug-in's place in the log is kept under; default its module and class.
    """

    name: str = ""


class EventHooks(ABC):
    """One plug-in's subscription. A hook that fails is logged and counted, and not called again for that event.

    Args:
        base: the class whose hooks do nothing; what the plug-in has overridden is called.
        hooks: names of the hooks that are called for each type of event, in their order.
        aliases: other names of the hooks.
        failures: counts what fails, by the plug-in's name.

    Raises:
        PluginUnusable: the plug-in has no hook.
    """

    def __init__(
        self,
        plugin: Plugin,
        base: type,
        hooks: Mapping[str, Sequence[str]],
        aliases: Mapping[str, str],
        failures: Counter[str],
    ) -> None:
        self._failures = failures
        self.name = plugin.name or name_of(type(plugin))
        own = {name: hook for name in aliases if (hook := _overridden(plugin, base, name, aliases[name])) is not None}
        if not own:
            raise PluginUnusable(self.name, f"it has none of the hooks {', '.join(aliases)}")
        self._hooks = {event: [own[name] for name in names if name in own] for event, names in hooks.items()}

    async def __call__(self, event: Event) -> None:
        hooks = self._hooks.get(event.eventtype)
        if not hooks:
            return
        told = await self.as_it_was(event)
        for hook in hooks:
            await call_hook(self.name, event, self._failures, hook, told)

    @abstractmethod
    async def as_it_was(self, event: Event) -> Any:
        """What the event is about, at the event's version: later changes, even its removal, do not show."""


async def call_hook(
    name: str, event: Event, failures: Counter[str], hook: Callable[..., Awaitable[None] | None], *told: Any
) -> None:
    """Calls a hook, `async def` or plain; its error is logged and counted."""
    try:
        result = hook(*told)
        if inspect.isawaitable(result):
            await result
    except Exception as error:
        failures[name] += 1
        log.exception(
            "a plug-in's hook failed",
            plugin=name,
            event_type=event.eventtype,
            subject=event.subject,
            failures=failures[name],
            error=repr(error),
        )


def name_of(code: Callable[..., Any], suffix: str = "") -> str:
    """A lasting name after where the code is; a long one is cut, and stays one that nobody else has."""
    name = f"{code.__module__}.{code.__qualname__}{suffix}"
    if len(name) <= MAX_NAME:
        return name
    return f"{hashlib.sha256(name.encode()).hexdigest()[:16]}-{name[-(MAX_NAME - 17) :]}"


def _overridden(plugin: Plugin, base: type, name: str, alias: str) -> Callable[..., Any] | None:
    own = getattr(plugin, name)
    if getattr(own, "__func__", own) is not getattr(base, name):
        return own  # type: ignore[no-any-return]
    hook: Callable[..., Any] | None = getattr(plugin, alias, None)
    return hook
