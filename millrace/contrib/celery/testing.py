"""Tests of tasks without a server: `delay` runs the task, and what follows from it, before it returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from millrace.client import Millrace
from millrace.contrib.celery.app import Celery
from millrace.contrib.celery.client import Client, Work
from millrace.contrib.celery.request import request
from millrace.registry import Registry
from millrace.sync import Portal
from millrace.testing.app import MillraceTest

T = TypeVar("T")


@contextmanager
def eager(app: Celery, *, start: datetime | None = None) -> Iterator[MillraceTest]:
    """Puts the application on a service in memory that runs everything at once.

    Real workers' code runs the tasks, with arguments and results as JSON. Time is moved on to whatever a countdown or a
    retry waits for. Schedules do not run.

    Yields:
        The application in memory; its `clock` has the time.
    """
    app.registry.complete()
    registry = Registry(jobs=app.registry.jobs, middleware=app.registry.middleware)
    settings = app.settings
    test = MillraceTest(tenant=settings.tenant, company=settings.company, registry=registry, start=start)
    portal = Portal()
    usual = app.client, app._make_transport
    app.client, app._make_transport = EagerClient(app, test, portal), test._transport
    try:
        yield test
    finally:
        portal.run(_closed(app, test))
        portal.stop()
        app.client, app._make_transport = usual


class EagerClient(Client):
    """Runs all jobs there are after whatever is done from outside of a task."""

    def __init__(self, app: Celery, test: MillraceTest, portal: Portal) -> None:
        super().__init__(app)
        self._test, self._portal = test, portal

    def run(self, work: Work[T]) -> T:
        if not request().called_directly:
            return self._portal.run(work(self._test))
        return self._portal.run(self._settled(work))

    def close(self) -> None:
        """Nothing: the block closes what it opened."""

    async def _settled(self, work: Work[T]) -> T:
        test = self._test
        result = await work(test)
        await test.run_jobs()
        while (due := test.memory.claims.next_due(test.settings.tenant)) is not None:
            await test.run_jobs(advance=max(0.0, (due - test.clock.now()).total_seconds()))
        return result


async def _closed(*apps: Millrace) -> None:
    for app in apps:
        await Millrace.close(app)
