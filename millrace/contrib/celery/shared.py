"""`shared_task` and the current application.

Celery's shared tasks belong to whichever application there is, so these two lists are the one global state of this
package. Applications are held weakly.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millrace.contrib.celery.errors import NotRegistered
from millrace.contrib.celery.options import task_options
from millrace.contrib.celery.task import Task

if TYPE_CHECKING:
    from millrace.contrib.celery.app import Celery

_apps: list[weakref.ref[Celery]] = []
_tasks: list[Task] = []


def current_app() -> Celery:
    """The application that was made last and is still there.

    Raises:
        NotRegistered: there is none.
    """
    for reference in reversed(_apps):
        if (app := reference()) is not None:
            return app
    raise NotRegistered("there is no application yet: import the module that makes your Celery(…) first")


def shared_task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """A task of every application, those that are made later, too; takes what `Celery.task` takes."""

    def declare(function: Callable[..., Any]) -> Task:
        chosen = task_options(options)
        task = Task(function, chosen.name or f"{function.__module__}.{function.__name__}", chosen, None)
        _tasks.append(task)
        for reference in _apps:
            if (app := reference()) is not None:
                app.register_task(task)
        return task

    return declare if function is None else declare(function)


def adopted(app: Celery) -> list[Task]:
    """Makes the application the current one; returns the shared tasks that there are."""
    _apps[:] = [reference for reference in _apps if reference() is not None]
    _apps.append(weakref.ref(app))
    return list(_tasks)
