"""`Celery`: a Millrace application with Celery's interface."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn, TypeVar

from millrace.client import Millrace
from millrace.contrib.celery.client import Client
from millrace.contrib.celery.conf import Conf, settings_of
from millrace.contrib.celery.crontab import schedule_settings
from millrace.contrib.celery.errors import AttributeNotSupported, NotSupported
from millrace.contrib.celery.marks import arriving
from millrace.contrib.celery.options import task_options
from millrace.contrib.celery.results import AsyncResult
from millrace.contrib.celery.shared import adopted
from millrace.contrib.celery.signature import Signature, checked
from millrace.contrib.celery.task import Task
from millrace.registry import ScheduleDefinition

T = TypeVar("T")
INSTEAD = {
    "control": "AsyncResult.revoke, app.queues and `millrace queues` control jobs and queues",
    "worker_main": "start `millrace worker module:app`",
    "start": "start `millrace worker module:app`",
    "Worker": "millrace.Worker(app) is one",
    "Beat": "the service runs schedules; there is no process to start",
    "backend": "results are kept by the service",
    "connection": "the application has its own",
    "user_options": "the worker's options are those of `millrace worker`",
    "steps": "a worker has no steps",
    "add_defaults": "use conf.update",
}


class Receivers:
    """Functions that are called with the application when a worker starts: `on_after_configure.connect`."""

    def __init__(self) -> None:
        self.functions: list[Callable[..., Any]] = []

    def connect(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.functions.append(function)
        return function


class Celery(Millrace):
    """A Millrace application for code that was written for Celery.

    `millrace worker module:app` runs its tasks; everything that a `Millrace` has is there, too.

    Args:
        main: what tasks in `__main__` are named after.
        broker: the service's address, `http(s)://…` or `amqp(s)://…`; as `url` of `Millrace`.
        include: modules with tasks, imported when a worker starts.
        options: further ones of `Millrace`: `tenant`, `company`, `actor`, `api_key`, `timeout`.

    Raises:
        NotSupported: a `backend`; results are kept by the service.
    """

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Iterable[str] = (),
        **options: Any,
    ) -> None:
        if backend is not None:
            raise NotSupported("a result backend", "results are kept by the service; leave `backend` out")
        super().__init__(broker, **options)
        self.main = main
        self.tasks: dict[str, Task] = {}
        self.conf = Conf(self._configured)
        self.conf.include = tuple(include)
        self.on_after_configure = self.on_after_finalize = Receivers()
        self.client = Client(self)
        self._packages: list[tuple[str, str]] = []
        self.registry.middleware.append(arriving(self))
        self.registry.late.append(self._finish)
        for task in adopted(self):
            self.register_task(task)

    def task(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Makes a function a task; see `TaskOptions` for what it takes.

        Raises:
            NotSupported: Celery has the option, and Millrace something else.
        """

        def declare(function: Callable[..., Any]) -> Task:
            chosen = task_options(options)
            return self.register_task(Task(function, chosen.name or self._name_of(function), chosen, self))

        return declare if function is None else declare(function)

    def register_task(self, task: Task) -> Task:
        """Has workers of this application run the task.

        Raises:
            ValueError: another function has its name.
        """
        options = {**task.definition.options}
        options.setdefault("timeout", self.conf.task_time_limit)
        known = {name: value for name, value in options.items() if value is not None}
        self.registry.add_job(replace(task.definition, options=known))
        self.tasks[task.name] = task
        return task

    def send_task(
        self, name: str, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> AsyncResult:
        """Sends a task by its name. One that this application does not have takes its arguments by name only."""
        return self.signature(name, args, kwargs, **options).apply_async()

    def signature(
        self, name: str, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> Signature:
        """A call of a task, by its name, that is not sent yet."""
        immutable = bool(options.pop("immutable", False))
        return Signature(self, name, tuple(args), dict(kwargs or {}), immutable=immutable).set(**checked(options))

    def AsyncResult(self, id: str) -> AsyncResult:
        """What becomes of the job of that id."""
        return AsyncResult(id, self)

    def send(self, work: Callable[[Millrace], Coroutine[Any, Any, T]]) -> T:
        """Runs a coroutine of the application's client from code without an event loop."""
        return self.client.run(work)

    def wait(self, id: str, timeout: float | None) -> Any:
        """See `AsyncResult.get`."""
        return self.client.run(lambda app: app.jobs.result(id, timeout))

    def config_from_object(self, source: object, namespace: str | None = None) -> None:
        """Takes settings from an object, a mapping, or a module by its name.

        Raises:
            NotSupported: one of them has no counterpart.
        """
        self.conf.update(settings_of(source, namespace))

    def autodiscover_tasks(
        self, packages: Iterable[str] | Callable[[], Iterable[str]], related_name: str = "tasks"
    ) -> None:
        """Imports `tasks` of each package when a worker starts; packages without it are passed over."""
        names = packages() if callable(packages) else packages
        self._packages += [(name, related_name) for name in names]

    def add_periodic_task(
        self,
        schedule: object,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Has a task sent by a schedule: a `crontab`, a `timedelta`, or seconds."""
        whole = signature.clone(tuple(args), kwargs)
        settings = {**schedule_settings(schedule, self.conf.timezone), **self._run_of(whole)}
        self.registry.add_schedule(ScheduleDefinition(name or whole.task, whole.task, settings))

    def queue_of(self, task: str) -> str:
        """Where a task waits: its own queue, that of the first of `task_routes` that fits, or the default one."""
        known = self.tasks.get(task)
        if known is not None and known.options.queue is not None:
            return known.options.queue
        for pattern, route in self.conf.task_routes.items():
            if fnmatchcase(task, pattern):
                if not isinstance(route, dict) or route.keys() != {"queue"}:
                    raise NotSupported(f"the route {route!r}", 'a route names a queue: {"queue": "media"}')
                return str(route["queue"])
        return str(self.conf.task_default_queue)

    async def close(self) -> None:
        """Gives up the connections: that of the running event loop, and that of `delay` and `get`."""
        await super().close()
        self.client.close()

    def _finish(self) -> None:
        """Declares what can only be declared once everything is imported."""
        for module in self.conf.include:
            import_module(module)
        for package, related in self._packages:
            import_module(package)
            if find_spec(f"{package}.{related}") is not None:
                import_module(f"{package}.{related}")
        while self.on_after_configure.functions:
            self.on_after_configure.functions.pop(0)(self)
        for name, entry in self.conf.beat_schedule.items():
            options = dict(entry.get("options") or {})
            call = self.signature(entry["task"], entry.get("args") or (), entry.get("kwargs"), **options)
            self.add_periodic_task(entry["schedule"], call, name=name)
        for name, task in self.tasks.items():
            definition = self.registry.jobs[name]
            queue = self.queue_of(name)
            self.registry.jobs[name] = replace(definition, options={**definition.options, "queue": queue})
            if (rate := task.options.rate) is not None:
                self.registry.rates[queue, name] = rate

    def _run_of(self, signature: Signature) -> dict[str, Any]:
        """What a schedule keeps of a call."""
        body = signature.arguments_of_job(None, many=False)
        for name in ("delay", "run_at", "message_id"):
            if name in body:
                raise NotSupported(f"{name} of a periodic task", "its schedule says when it runs")
        return {name: value for name, value in body.items() if name != "name"}

    def _configured(self, name: str, value: Any) -> None:
        if name == "broker_url" and value is not None:
            self.settings = replace(self.settings, url=value)

    def _name_of(self, function: Callable[..., Any]) -> str:
        module = function.__module__
        return f"{self.main if module == '__main__' and self.main else module}.{function.__name__}"

    def __getattr__(self, name: str) -> NoReturn:
        if name in INSTEAD:
            raise AttributeNotSupported(f"app.{name}", INSTEAD[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def signature(name: str, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Signature:
    """A call of a task of the current application, by its name, that is not sent yet."""
    from millrace.contrib.celery.shared import current_app

    return current_app().signature(name, args, kwargs, **options)
