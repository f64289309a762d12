"""A task with its arguments and options, to be sent later or as a part of a chain, group or chord."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from millrace.contrib.celery.errors import NotSupported
from millrace.contrib.celery.marks import marked

if TYPE_CHECKING:
    from millrace.contrib.celery.app import Celery
    from millrace.contrib.celery.canvas import chain
    from millrace.contrib.celery.results import AsyncResult

PRIORITIES = range(10)
INSTEAD = {
    "routing_key": "a job goes into a queue by its name, `queue=`",
    "exchange": "a job goes into a queue by its name, `queue=`",
    "link_error": "declare a hook, @app.jobs.on_fail, or a task with `on_parent_failure='run'` behind it",
    "soft_time_limit": "give it to the task's decorator",
    "ignore_result": "give it to the task's decorator",
    "retry": "an unreachable service is tried again for `timeout` seconds, always",
    "retry_policy": "an unreachable service is tried again for `timeout` seconds, always",
    "serializer": "arguments are JSON; see *Serializers* in docs/client.md",
    "compression": "arguments are JSON",
    "headers": "put it into the arguments",
    "shadow": "give the task a `name`",
    "connection": "the application has its own",
    "producer": "the application has its own",
}


@dataclass(frozen=True)
class Options:
    """How one call is to be sent; see `Task.apply_async`."""

    task_id: str | None = None
    countdown: float | None = None
    eta: datetime | None = None
    expires: float | datetime | None = None
    queue: str | None = None
    priority: int | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        if self.priority is not None and self.priority not in PRIORITIES:
            raise ValueError(f"a priority is 0 to 9, the highest, not {self.priority!r}")
        if self.countdown is not None and self.eta is not None:
            raise ValueError("give either `countdown` or `eta`, not both")


@dataclass(frozen=True)
class Signature:
    """A call of a task that has not been sent. It is never changed: `set`, `link` and `|` give new ones.

    Attributes:
        immutable: whether it takes no result of the task before.
        links: what is sent with it, to run with its result once it has succeeded.
    """

    app: Celery
    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    immutable: bool = False
    links: tuple[Signature, ...] = ()

    def set(self, **options: Any) -> Signature:
        """The same call with other options."""
        return replace(self, options=replace(self.options, **checked(options)))

    def clone(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Signature:
        """The same call with more arguments: `args` before its own, as Celery puts them."""
        if self.immutable:
            return self
        return replace(self, args=(*args, *self.args), kwargs={**self.kwargs, **(kwargs or {})})

    def link(self, callback: Signature) -> Signature:
        """The same call with a callback, which gets its result."""
        return replace(self, links=(*self.links, callback))

    def link_error(self, errback: Signature) -> Signature:
        raise NotSupported("link_error", INSTEAD["link_error"])

    on_error = link_error

    def apply_async(
        self, args: tuple[Any, ...] | list[Any] = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> AsyncResult:
        """Sends it; see `Task.apply_async`."""
        from millrace.contrib.celery.sending import send_task

        sent = self.clone(tuple(args), kwargs)
        if link := options.pop("link", None):
            sent = replace(sent, links=(*sent.links, *(link if isinstance(link, list | tuple) else (link,))))
        sent = sent.set(**options)
        return self.app.send(lambda app: send_task(app, sent))

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Sends it with more arguments."""
        return self.apply_async(args, kwargs)

    def __or__(self, other: Any) -> chain:
        from millrace.contrib.celery.canvas import chain

        return chain(self, other)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the task here and now."""
        whole = self.clone(args, kwargs)
        return self.app.tasks[self.task](*whole.args, **whole.kwargs)

    def arguments_of_job(self, upstream: str | None, many: bool) -> dict[str, Any]:
        """What `jobs.enqueue` takes for it.

        Args:
            upstream: whether it gets the result of what is before it (`result`), or nothing (None).
            many: whether that is a list.

        Raises:
            TypeError: the task does not take the arguments.
            NotSupported: arguments by position for a task that this application does not have.
        """
        task = self.app.tasks.get(self.task)
        fill = None
        if task is not None:
            data, fill = task.data(self.args, self.kwargs, filled=upstream is not None and not self.immutable)
        elif self.args or (upstream is not None and not self.immutable):
            raise NotSupported(
                f"arguments by position for {self.task!r}, which this application does not have",
                "give them by name, as kwargs",
            )
        else:
            data = self.kwargs
        options, conf = self.options, self.app.conf
        expires = options.expires if options.expires is not None else (task.expires if task else None)
        if isinstance(expires, datetime):
            expires = _with_zone(expires, conf.timezone)
        given: dict[str, Any] = {
            "queue": options.queue or self.app.queue_of(self.task),
            "priority": options.priority,
            "delay": options.countdown,
            "run_at": None if options.eta is None else _with_zone(options.eta, conf.timezone),
            "timeout": options.time_limit or (None if task else conf.task_time_limit),
            "message_id": options.task_id,
        }
        body = {name: value for name, value in given.items() if value is not None}
        return {"name": self.task, "data": marked(data, fill, many, expires), **body}


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a call.

    Raises:
        NotSupported: Celery has one of that name, and Millrace something else.
        TypeError: neither has it.
    """
    for name in options:
        if name in INSTEAD:
            raise NotSupported(f"apply_async({name}=…)", INSTEAD[name])
        if name not in Options.__dataclass_fields__:
            raise TypeError(f"a task is not sent with {name!r}; options are {', '.join(Options.__dataclass_fields__)}")
    return options


def _with_zone(time: datetime, zone: str) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=ZoneInfo(zone))
