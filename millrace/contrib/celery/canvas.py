"""`chain`, `group` and `chord`: tasks behind and beside each other, as jobs that come `after` others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from millrace.contrib.celery.errors import NotSupported
from millrace.contrib.celery.results import AsyncResult, GroupResult
from millrace.contrib.celery.sending import send
from millrace.contrib.celery.signature import Signature

if TYPE_CHECKING:
    from millrace.contrib.celery.app import Celery


class Composite:
    """Several tasks that are sent together. All are enqueued at once; a worker needs nothing to go on."""

    app: Celery

    def apply_async(self, **options: Any) -> Any:
        """Sends all of it.

        Raises:
            NotSupported: options, which belong to the single tasks: `task.s(…).set(queue="…")`.
        """
        if options:
            raise NotSupported(
                f"apply_async({', '.join(options)}) of a {type(self).__name__}",
                "set them at the tasks in it: task.s(…).set(…)",
            )
        return self.app.send(lambda client: send(client, cast("Node", self)))

    def delay(self) -> Any:
        """Sends all of it."""
        return self.apply_async()

    def __or__(self, other: Node) -> chain:
        return chain(self, other)


class chain(Composite):
    """Tasks one behind the other; each gets the result of the one before as its first argument, unless it is `si`.

    `apply_async` gives the result of the last one. Behind a group, a task gets the list of results, as a chord's body.
    """

    def __init__(self, *tasks: Any) -> None:
        nodes = [node for each in _each(tasks) for node in (each.tasks if isinstance(each, chain) else [each])]
        self.tasks: list[Any] = list(_checked(nodes, "chain"))
        self.app = self.tasks[0].app


class group(Composite):
    """Tasks beside each other; `apply_async` gives a `GroupResult`."""

    def __init__(self, *tasks: Any) -> None:
        self.tasks: list[Any] = list(_checked(_each(tasks), "group"))
        self.app = self.tasks[0].app


class chord(Composite):
    """`chord(tasks)(body)`: `body` gets the list of all results once all tasks have succeeded.

    It is revoked where one of them fails for good.
    """

    def __init__(self, header: Any, body: Any | None = None) -> None:
        self.header = header if isinstance(header, group) else group(header)
        self.body: Any = body
        self.app = self.header.app

    def __call__(self, body: Any | None = None) -> AsyncResult | GroupResult:
        """Sends all of it, with the body."""
        sent: AsyncResult | GroupResult = chord(self.header, body or self.body).apply_async()
        return sent

    def apply_async(self, **options: Any) -> Any:
        if self.body is None:
            raise TypeError("a chord needs a body: chord(tasks)(body)")
        return super().apply_async(**options)


Node = Signature | chain | group | chord


def _each(tasks: tuple[Any, ...]) -> Iterator[Any]:
    """The tasks, given one by one or as one list."""
    if len(tasks) == 1 and isinstance(tasks[0], Iterable):
        yield from tasks[0]
    else:
        yield from tasks


def _checked(tasks: Iterable[Any], what: str) -> Iterator[Any]:
    empty = True
    for task in tasks:
        empty = False
        if not isinstance(task, Signature | Composite):
            raise TypeError(f"a {what} is made of signatures, such as task.s(…), not of {task!r}")
        yield task
    if empty:
        raise ValueError(f"a {what} needs at least one task")
