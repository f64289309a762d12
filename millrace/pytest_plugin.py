"""Fixtures for pytest, found by its entry point.

Everything is imported when a fixture is used: pytest loads this module in every run of everybody who has Millrace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from millrace.contracts.job import Job
    from millrace.testing.app import MillraceTest

# Suites are not test modules by name; their assertions are to be explained all the same.
pytest.register_assert_rewrite("millrace.testing.contracts")


@pytest.fixture
def millrace_app() -> MillraceTest:
    """An application with its service in memory, new for each test."""
    from millrace.testing.app import MillraceTest

    return MillraceTest()


@pytest.fixture
def run_jobs(millrace_app: MillraceTest) -> Callable[..., Awaitable[list[Job]]]:
    """`await run_jobs()`: runs what is due in `millrace_app`; `advance=seconds` moves its clock meanwhile."""
    return millrace_app.run_jobs
