"""The blocking twin leaves nothing out: whatever can be awaited on an application blocks on its twin."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from millrace import Millrace
from millrace.sync import WRAPPED, Blocking
from millrace.testing import MillraceTest


def namespaces(owner: object) -> dict[str, Any]:
    """The parts of an application that have something to await."""
    found = {}
    for name, value in vars(owner).items():
        kind = type(value)
        ours = kind.__module__.startswith("millrace.") and not name.startswith("_")
        if ours and any(inspect.iscoroutinefunction(member) for _, member in inspect.getmembers(kind)):
            found[name] = value
    return found


def test_every_namespace_has_a_blocking_one() -> None:
    app = Millrace("http://127.0.0.1:1")
    parts = namespaces(app)
    assert {"jobs", "queues", "dead_letters", "subscriptions", "progress", "notifications"} <= parts.keys()
    nested = {f"{name}.{inner}": value for name, part in parts.items() for inner, value in namespaces(part).items()}
    assert "jobs.schedules" in nested
    for name, value in (parts | nested).items():
        assert isinstance(value, WRAPPED), f"{name} does not block"


def test_the_twin_of_each_namespace_is_a_blocking_one() -> None:
    with MillraceTest().sync() as blocking:
        for name in namespaces(Millrace("http://127.0.0.1:1")):
            assert isinstance(getattr(blocking, name), Blocking), name
        assert blocking.jobs.list() == []
        assert blocking.jobs.schedules.list() == []
        assert blocking.queues.list() == []
        assert blocking.dead_letters.groups() == []


def test_a_program_without_an_event_loop_does_a_round_of_everything() -> None:
    test = MillraceTest()

    @test.job
    def double(n: int) -> int:
        return 2 * n

    with test.sync() as blocking:
        job = blocking.jobs.enqueue("double", {"n": 21})
        blocking._portal.run(test.run_jobs())
        assert blocking.jobs.result(job.id, timeout=1) == 42
        with blocking.jobs.batch("doubles") as batch:
            batch.enqueue("double", {"n": 1})
        assert (batch.get().total, batch.get().is_sealed) == (1, True)
        with pytest.raises(KeyError), blocking.jobs.batch("broken") as broken:
            raise KeyError("no such file")
        assert broken.get().is_cancelled
        with pytest.raises(TypeError, match="nothing to enter"):
            blocking.queues.__enter__()
        blocking.jobs.schedules.create("nightly", "double", {"n": 1}, cron="0 3 * * *")
        assert [each.name for each in blocking.jobs.schedules.iterate()] == ["nightly"]
        blocking.queues.pause("default")
        assert blocking.queues.get("default").paused
        event_id = blocking.publish("shop.order.placed", {"id": 1})
        for event in blocking.events("shop.#", after="beginning"):
            assert event.subject == event_id
            break
        with pytest.raises(AttributeError):
            _ = blocking.nothing
