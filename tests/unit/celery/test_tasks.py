"""Tasks: their arguments, options, retries and what they know of themselves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from millrace.contrib.celery import (
    AsyncResult,
    Celery,
    MaxRetriesExceededError,
    NotSupported,
    SoftTimeLimitExceeded,
    TaskFailed,
    TaskRevokedError,
    UnknownResult,
    shared_task,
)
from millrace.testing import MillraceTest, in_memory


def test_a_task_is_called_sent_and_waited_for(app: Celery, service: MillraceTest) -> None:
    @app.task
    def add(x: int, y: int = 10) -> int:
        return x + y

    assert add(2, 3) == 5
    result = add.delay(2, y=3)
    assert (result.get(timeout=1), result.state, result.ready(), result.successful()) == (5, "SUCCESS", True, True)
    assert (result.name, result.job.data) == (f"{__name__}.add", {"x": 2, "y": 3})
    assert app.AsyncResult(result.id) == add.AsyncResult(result.id) == AsyncResult(result.id, app) == result
    assert add.apply_async((1,)).get() == 11
    with pytest.raises(TypeError, match="'x'"):
        add.delay()


def test_arguments_are_converted_to_what_they_are_annotated_with(app: Celery, service: MillraceTest) -> None:
    @app.task
    def later(when: datetime, price: Decimal) -> list[str]:
        return [type(when).__name__, type(price).__name__]

    assert later.delay(datetime(2026, 1, 31, tzinfo=UTC), Decimal("1.50")).get() == ["datetime", "Decimal"]


def test_a_bound_task_knows_its_attempt_and_can_ask_for_another(app: Celery, service: MillraceTest) -> None:
    seen: list[tuple[str | None, int]] = []

    @app.task(bind=True, max_retries=2)
    def flaky(self: Any, n: int) -> str:
        seen.append((self.request.id, self.request.retries))
        if self.request.retries < n:
            raise self.retry(countdown=30)
        return self.request.delivery_info["routing_key"]  # type: ignore[no-any-return]

    begun = service.clock.now()
    result = flaky.delay(2)
    assert (result.get(), result.retries) == ("default", 2)
    assert seen == [(result.id, 0), (result.id, 1), (result.id, 2)]
    assert service.clock.now() - begun == timedelta(seconds=60)
    with pytest.raises(MaxRetriesExceededError, match="was tried 3 times"):
        flaky.delay(3).get()


def test_where_no_attempt_is_left_retry_raises_what_went_wrong(app: Celery, service: MillraceTest) -> None:
    @app.task(bind=True, max_retries=1, default_retry_delay=1)
    def broken(self: Any) -> None:
        try:
            raise KeyError("disk")
        except KeyError as error:
            self.retry(exc=error)

    result = broken.delay()
    with pytest.raises(KeyError, match="disk"):
        result.get()
    assert (result.state, result.failed(), result.retries) == ("FAILURE", True, 1)
    assert "KeyError" in (result.traceback or "")
    assert isinstance(result.get(propagate=False), KeyError)
    assert isinstance(result.result, KeyError)


def test_other_errors_are_not_tried_again(app: Celery, service: MillraceTest) -> None:
    @app.task
    def wrong() -> None:
        raise ValueError("no such order")

    result = wrong.delay()
    with pytest.raises(ValueError, match="no such order"):
        result.get()
    assert (result.state, result.retries) == ("FAILURE", 0)


def test_an_error_whose_class_is_not_loaded_is_told_by_name(app: Celery, service: MillraceTest) -> None:
    @app.task
    def wrong() -> None:
        class Local(Exception): ...

        raise Local("here")

    with pytest.raises(TaskFailed, match="Local: here"):
        wrong.delay().get()


@pytest.mark.parametrize(
    ("options", "waits"),
    [
        ({"retry_backoff": True, "retry_jitter": False}, [1, 2, 4]),
        ({"retry_backoff": 5, "retry_jitter": False, "retry_backoff_max": 8}, [5, 8, 8]),
        ({"default_retry_delay": 7}, [7, 7, 7]),
        ({"retry_kwargs": {"max_retries": 2, "countdown": 3}}, [3, 3]),
    ],
)
def test_errors_that_are_named_are_tried_again_by_themselves(
    app: Celery, service: MillraceTest, options: dict[str, Any], waits: list[int]
) -> None:
    at: list[datetime] = []

    @app.task(autoretry_for=(OSError,), dont_autoretry_for=(FileNotFoundError,), **options)
    def fetch(missing: bool = False) -> None:
        at.append(service.clock.now())
        raise FileNotFoundError("gone") if missing else ConnectionError("again")

    with pytest.raises(ConnectionError, match="again"):
        fetch.delay().get()
    assert [(b - a).total_seconds() for a, b in pairwise(at)] == waits
    at.clear()
    with pytest.raises(FileNotFoundError):
        fetch.delay(missing=True).get()
    assert len(at) == 1


def test_time_queue_priority_and_id_of_a_call(app: Celery, service: MillraceTest) -> None:
    @app.task(queue="media", priority=3, time_limit=20)
    def shrink() -> str:
        return "done"

    begun = service.clock.now()
    job = shrink.delay().job
    assert (job.queue, job.priority, job.timeout, job.max_attempts) == ("media", 3, 20, 4)
    job = shrink.apply_async(queue="urgent", priority=9, time_limit=5, countdown=60).job
    assert (job.queue, job.priority, job.timeout) == ("urgent", 9, 5)
    assert service.clock.now() - begun >= timedelta(seconds=60)
    tomorrow = service.clock.now() + timedelta(days=1)
    job = shrink.apply_async(eta=tomorrow).job
    assert job.started_at is not None
    assert job.started_at >= tomorrow
    assert shrink.apply_async(task_id="once").id == shrink.apply_async(task_id="once").id
    for wrong in (10, -1):
        with pytest.raises(ValueError, match="0 to 9"):
            shrink.apply_async(priority=wrong)


def test_a_task_that_comes_too_late_is_revoked_and_not_run(app: Celery, service: MillraceTest) -> None:
    ran: list[int] = []

    @app.task
    def note(n: int) -> None:
        ran.append(n)

    soon, now = note.apply_async((1,), countdown=60, expires=90), service.clock.now()
    late = note.apply_async((2,), countdown=60, expires=30)
    absolute = note.apply_async((3,), countdown=60, expires=now + timedelta(seconds=30))
    assert ran == [1]
    assert [each.state for each in (soon, late, absolute)] == ["SUCCESS", "REVOKED", "REVOKED"]
    with pytest.raises(TaskRevokedError):
        late.get()


def test_results_can_be_ignored_forgotten_and_unknown(app: Celery, service: MillraceTest) -> None:
    @app.task(ignore_result=True)
    def quiet() -> int:
        return 1

    result = quiet.delay()
    assert (result.get(), result.state) == (None, "SUCCESS")
    result.forget()
    with pytest.raises(UnknownResult):
        _ = result.state
    with pytest.raises(UnknownResult):
        AsyncResult("0199c2f0-0000-7000-8000-000000000001", app).get(timeout=1)


def test_a_task_must_not_wait_for_another(app: Celery, service: MillraceTest) -> None:
    @app.task
    def inner() -> int:
        return 1

    @app.task
    def outer(wait: bool) -> Any:
        result = inner.delay()
        return result.get() if wait else result.id

    with pytest.raises(RuntimeError, match="chain"):
        outer.delay(wait=True).get()
    sent = outer.delay(wait=False)
    child = AsyncResult(sent.get(), app)
    assert child.get() == 1
    [first, *_] = app.send(lambda client: client.history("job", child.id))
    assert first.causationid == sent.id


async def test_coroutines_are_tasks_too_and_can_send_without_blocking(app: Celery) -> None:
    @app.task(soft_time_limit=5)
    async def double(n: int) -> int:
        return 2 * n

    @app.task(soft_time_limit=0.05, time_limit=30)
    async def slow() -> str:
        try:
            await asyncio.Event().wait()
        except SoftTimeLimitExceeded:
            return "partly"
        return "never"

    assert await double(4) == 8
    async with in_memory(app) as memory:
        results = [await double.adelay(4), await slow.adelay()]
        await memory.run_jobs()
        assert [(await app.jobs.get(result.id)).result for result in results] == [8, "partly"]  # type: ignore[union-attr]


def test_shared_tasks_belong_to_the_newest_application() -> None:
    first = Celery("first", broker="http://127.0.0.1:1")

    @shared_task(name="shared.echo")
    def echo(text: str) -> str:
        return text

    second = Celery("second", broker="http://127.0.0.1:1")
    assert "shared.echo" in first.tasks
    assert "shared.echo" in second.registry.jobs
    assert echo.app is second


def test_a_middleware_of_the_application_sees_tasks(app: Celery, service: MillraceTest) -> None:
    names: list[str] = []

    @app.jobs.before
    def note(job: Any) -> None:
        names.append(job.name)

    @app.task(name="noted")
    def noted() -> None: ...

    noted.delay().get()
    assert names == ["noted"]


@pytest.mark.parametrize(
    ("options", "way"),
    [
        ({"base": object}, "@app.jobs.around"),
        ({"serializer": "pickle"}, "JSON"),
        ({"acks_late": False}, "done when its end is recorded"),
        ({"throws": (KeyError,)}, "NonRetryable"),
        ({"soft_time_limit": 3}, "async def"),
    ],
)
def test_options_of_a_task_that_are_not_here_say_what_is(app: Celery, options: dict[str, Any], way: str) -> None:
    with pytest.raises(NotSupported, match=way):

        @app.task(**options)
        def task() -> None: ...


def test_a_task_with_an_option_that_nobody_has_is_a_mistake(app: Celery) -> None:
    with pytest.raises(TypeError, match="max_retry"):
        app.task(max_retry=3)(lambda: None)
    with pytest.raises(ValueError, match="rate_limit"):
        _ = app.task(rate_limit="often")(lambda: None).options.rate


@pytest.mark.parametrize(
    ("options", "way"),
    [
        ({"routing_key": "a.b"}, "queue="),
        ({"link_error": None}, "on_fail"),
        ({"serializer": "yaml"}, "JSON"),
        ({"soft_time_limit": 3}, "decorator"),
        ({"retry": False}, "timeout"),
    ],
)
def test_options_of_a_call_that_are_not_here_say_what_is(app: Celery, options: dict[str, Any], way: str) -> None:
    @app.task
    def task() -> None: ...

    with pytest.raises(NotSupported, match=way):
        task.apply_async(**options)
    with pytest.raises(TypeError, match="countdwon"):
        task.apply_async(countdwon=3)


def test_arguments_by_position_alone_are_refused(app: Celery) -> None:
    with pytest.raises(NotSupported, match="a list instead"):

        @app.task
        def many(*numbers: int) -> None: ...

    with pytest.raises(NotSupported, match="by name"):
        app.send_task("elsewhere.add", (1, 2))
