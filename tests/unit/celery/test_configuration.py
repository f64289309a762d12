"""Settings, schedules and routes, as an application for Celery writes them."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from millrace.contrib.celery import Celery, NotSupported, crontab
from millrace.testing import in_memory


@pytest.mark.parametrize(
    ("given", "expression"),
    [
        ({}, "* * * * *"),
        ({"minute": 0, "hour": "*/3,8-17"}, "0 */3,8-17 * * *"),
        ({"minute": "0", "hour": 7, "day_of_week": "monday"}, "0 7 * * MON"),
        ({"minute": [0, 30], "day_of_week": "mon-fri, sunday"}, "0,30 * * * MON-FRI,SUN"),
        ({"minute": 0, "hour": 0, "day_of_month": "1-7,15", "month_of_year": {12, 6}}, "0 0 1-7,15 6,12 *"),
    ],
)
def test_a_crontab_is_a_cron_expression(given: dict[str, Any], expression: str) -> None:
    assert crontab(**given).expression == expression


def test_days_that_are_both_are_refused_since_cron_would_take_either() -> None:
    with pytest.raises(NotSupported, match="day_of_month"):
        crontab(day_of_week="mon", day_of_month="13")


async def test_beat_schedules_become_schedules(app: Celery) -> None:
    @app.task(name="report")
    def report(kind: str, deep: bool = False) -> None: ...

    app.conf.timezone = "Europe/Berlin"
    app.conf.task_routes = {"rep*": {"queue": "reports"}}
    app.conf.beat_schedule = {
        "nightly": {"task": "report", "schedule": crontab(hour=3, minute=0), "args": ("daily",)},
        "often": {
            "task": "report",
            "schedule": timedelta(minutes=2),
            "kwargs": {"kind": "o"},
            "options": {"priority": 5},
        },
    }

    @app.on_after_configure.connect
    def more(sender: Celery, **kwargs: Any) -> None:
        sender.add_periodic_task(10.0, report.s("quick"), name="quick")

    async with in_memory(app) as service:
        for _ in range(2):
            await service.run_jobs()
        found = {each.name: each for each in await app.jobs.schedules.list()}
    assert (found["nightly"].cron, found["nightly"].timezone) == ("0 3 * * *", "Europe/Berlin")
    job = found["nightly"].job
    assert (job["data"], job["queue"], job["max_attempts"]) == ({"kind": "daily"}, "reports", 4)
    assert (found["often"].every, found["often"].job["priority"]) == (120, 5)
    assert (found["quick"].every, found["quick"].job["data"]) == (10, {"kind": "quick"})


async def test_a_rate_limit_is_that_of_the_name_in_its_queue(app: Celery) -> None:
    @app.task(name="mail", rate_limit="10/m", queue="mails")
    def mail() -> None: ...

    async with in_memory(app) as service:
        await app.queues.configure("mails", concurrency=4, per_name={"mail": {"concurrency": 2}, "other": {}})
        for _ in range(2):
            await service.run_jobs()
        queue = await app.queues.get("mails")
        history = await app.history("queue", "mails")
    assert queue is not None
    assert (queue.concurrency, set(queue.per_name), queue.per_name["mail"].concurrency) == (4, {"mail", "other"}, 2)
    assert queue.per_name["mail"].rate is not None
    assert queue.per_name["mail"].rate.model_dump() == {"limit": 10, "period": 60, "burst": 1}
    assert [event.eventtype for event in history].count("queue.configured") == 2


def test_settings_come_from_objects_and_modules(app: Celery) -> None:
    django = SimpleNamespace(CELERY_TIMEZONE="Asia/Tokyo", CELERY_BROKER_URL="amqp://broker", DEBUG=True)
    app.config_from_object(django, namespace="CELERY")
    assert (app.conf.timezone, app.settings.url) == ("Asia/Tokyo", "amqp://broker")
    app.config_from_object({"task_default_queue": "work", "task_serializer": "json"})
    assert (app.conf["task_default_queue"], app.conf.task_serializer) == ("work", "json")
    assert app.queue_of("any") == "work"


@pytest.mark.parametrize(
    ("setting", "value", "way"),
    [
        ("result_backend", "redis://", "kept by the service"),
        ("task_always_eager", True, "eager"),
        ("worker_concurrency", 4, "--concurrency"),
        ("task_serializer", "pickle", "always 'json'"),
        ("task_acks_late", False, "always True"),
        ("worker_hijack_root_logger", False, "docs/migration.md"),
    ],
)
def test_settings_that_are_not_here_say_what_is(app: Celery, setting: str, value: Any, way: str) -> None:
    with pytest.raises(NotSupported, match=way):
        app.conf.update({setting: value})


def test_parts_of_an_application_that_are_not_here_say_what_is(app: Celery) -> None:
    with pytest.raises(NotSupported, match=r"app\.queues"):
        _ = app.control
    with pytest.raises(NotSupported, match="leave `backend` out"):
        Celery("a", backend="rpc://")
    assert not hasattr(app, "nothing")
    app.conf.task_routes = {"mail": "mails"}
    with pytest.raises(NotSupported, match="queue"):
        app.queue_of("mail")
    with pytest.raises(NotSupported, match=r"docs/schedules\.md"):
        app.add_periodic_task("daily", app.signature("mail"))


def test_tasks_are_found_in_packages_when_a_worker_starts(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, text in (
        ("shop", "from millrace.contrib.celery import shared_task\n\n@shared_task\ndef sell(): ...\n"),
        ("bare", ""),
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        if text:
            (tmp_path / package / "tasks.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    app.autodiscover_tasks(lambda: ["shop", "bare"])
    assert "shop.tasks.sell" not in app.tasks
    try:
        app.registry.complete()
        assert "shop.tasks.sell" in app.registry.jobs
    finally:
        for name in ("shop", "shop.tasks", "bare"):
            sys.modules.pop(name, None)
