"""`app.conf`: the settings of Celery that mean something here; all others are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from millrace.contrib.celery.errors import NotSupported

DEFAULTS: Mapping[str, Any] = {
    "broker_url": None,
    "timezone": "UTC",
    "beat_schedule": {},
    "task_default_queue": "default",
    "task_routes": {},
    "task_time_limit": None,
    "task_ignore_result": False,
    "include": (),
}
# What is always so here: such a setting may say so, and nothing else.
ALWAYS: Mapping[str, Any] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "enable_utc": True,
    "task_acks_late": True,
    "task_track_started": True,
    "task_reject_on_worker_lost": True,
    "broker_connection_retry_on_startup": True,
}
INSTEAD: Mapping[str, str] = {
    "result_backend": "results are kept by the service, leave it out",
    "result_expires": "the service's `modules.jobs.retention` says how long ended jobs are kept",
    "task_always_eager": "use `with eager(app):` of millrace.contrib.celery.testing",
    "task_soft_time_limit": "give `soft_time_limit` to each `async def` task",
    "task_annotations": "give the options to the tasks",
    "task_queues": "a queue needs no declaration; name it in `task_routes` or at the task",
    "worker_concurrency": "start `millrace worker --concurrency`",
    "worker_max_memory_per_child": "start `millrace worker --max-memory`",
    "worker_prefetch_multiplier": "a worker claims what it has room for and nothing ahead",
}


class Conf:
    """Settings as attributes, items, or by `update`.

    Raises:
        NotSupported: the setting has no counterpart, or a value that cannot be had.
    """

    _values: dict[str, Any]

    def __init__(self, changed: Callable[[str, Any], None]) -> None:
        object.__setattr__(self, "_values", dict(DEFAULTS))
        object.__setattr__(self, "_changed", changed)

    def __getattr__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in ALWAYS:
            return ALWAYS[name]
        raise AttributeError(f"there is no setting {name!r}; known are {', '.join(sorted({*DEFAULTS, *ALWAYS}))}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ALWAYS:
            if value != ALWAYS[name]:
                raise NotSupported(f"the setting {name} = {value!r}", f"it is always {ALWAYS[name]!r}")
            return
        if name not in DEFAULTS:
            raise NotSupported(f"the setting {name}", INSTEAD.get(name, "docs/migration.md has what there is"))
        self._values[name] = value
        self._changed(name, value)

    __getitem__ = __getattr__
    __setitem__ = __setattr__

    def update(self, values: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Sets several at once."""
        for name, value in {**(values or {}), **more}.items():
            setattr(self, name, value)


def settings_of(source: object, namespace: str | None) -> dict[str, Any]:
    """The settings that an object, a mapping, or a module by its name (`django.conf:settings`) has.

    Args:
        namespace: what their names begin with, `CELERY` for `CELERY_TASK_ROUTES`; without one all public names in
            lower case count.
    """
    if isinstance(source, str):
        module, _, attribute = source.partition(":")
        source = getattr(import_module(module), attribute) if attribute else import_module(module)
    found = source if isinstance(source, Mapping) else {name: getattr(source, name) for name in dir(source)}
    if namespace is None:
        public = {name: value for name, value in found.items() if name.islower() and not name.startswith("_")}
        return {name: value for name, value in public.items() if not callable(value)}
    prefix = f"{namespace}_"
    return {name.removeprefix(prefix).lower(): found[name] for name in found if name.startswith(prefix)}
