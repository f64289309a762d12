from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from millrace import Job, JobContext
from millrace.binding import Binding
from millrace.errors import ArgumentMismatch

GRANT = {
    "job_id": "job-7", "attempt": 2, "name": "transcribe", "queue": "media", "priority": 5, "attempts": 2,
    "max_attempts": 3, "timeout": 300.0, "created_at": "2026-01-15T10:00:00Z", "correlation_id": "c-7",
}  # fmt: skip


def job_with(**data: Any) -> JobContext:
    return JobContext({**GRANT, "data": data})


def call(function: Callable[..., Any], **data: Any) -> Any:
    return function(**Binding(function).arguments(job_with(**data)))


def test_parameters_come_from_the_data_by_name() -> None:
    def transcribe(file_id: str, language: str = "en") -> tuple[str, str]:
        return file_id, language

    assert call(transcribe, file_id="42") == ("42", "en")
    assert call(transcribe, language="de", file_id="42") == ("42", "de")


def test_the_job_is_passed_to_a_parameter_of_that_name() -> None:
    def transcribe(file_id: str, job) -> tuple[str, str]:  # type: ignore[no-untyped-def]
        return file_id, job.id

    assert call(transcribe, file_id="42") == ("42", "job-7")


def test_the_job_is_passed_to_a_parameter_of_its_type() -> None:
    def by_job(task: Job) -> object:
        return task.data["file_id"]

    def by_context(task: JobContext) -> object:
        return task.payload["file_id"]

    assert call(by_job, file_id="42") == "42"
    assert call(by_context, file_id="42") == "42"


def test_the_job_is_not_passed_to_functions_that_do_not_declare_it() -> None:
    def transcribe(**data: Any) -> dict[str, Any]:
        return data

    assert call(transcribe, file_id="42") == {"file_id": "42"}


def test_a_function_that_takes_the_job_may_leave_data_unnamed() -> None:
    def transcribe(job: JobContext, file_id: str) -> tuple[str, Any]:
        return file_id, job.data["language"]

    assert call(transcribe, file_id="42", language="de") == ("42", "de")


@pytest.mark.parametrize(("data", "named"), [({}, "file_id"), ({"file_id": "42", "langauge": "de"}, "langauge")])
def test_data_that_does_not_fit_is_named_and_not_retried(data: dict[str, Any], named: str) -> None:
    def transcribe(file_id: str, language: str = "en") -> None: ...

    with pytest.raises(ArgumentMismatch, match=named):
        call(transcribe, **data)


def test_positional_only_parameters_are_refused_where_the_function_is_declared() -> None:
    def transcribe(file_id: str, /) -> None: ...

    with pytest.raises(TypeError, match="file_id"):
        Binding(transcribe)


def test_coroutine_functions_are_recognized_behind_wrappers_and_in_objects() -> None:
    async def plain() -> None: ...

    @functools.wraps(plain)
    def wrapper() -> Any:
        return plain()

    class Callable_:
        async def __call__(self) -> None: ...

    def blocking() -> None: ...

    assert [Binding(each).is_async for each in (plain, wrapper, Callable_(), blocking)] == [True, True, True, False]


def test_arguments_of_an_enqueued_call_become_data_without_the_job() -> None:
    def transcribe(job: JobContext, file_id: str, language: str = "en", **more: Any) -> None: ...

    binding = Binding(transcribe)
    assert binding.data(("42",), {"speed": 2}) == {"file_id": "42", "speed": 2}
    with pytest.raises(TypeError):
        binding.data((), {"language": "de"})
