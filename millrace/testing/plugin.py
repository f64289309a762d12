"""Fixtures for pytest, found by its entry point."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from millrace.contracts.job import Job
from millrace.testing.app import MillraceTest


@pytest.fixture
def millrace_app() -> MillraceTest:
    """An application with its service in memory, new for each test."""
    return MillraceTest()


@pytest.fixture
def run_jobs(millrace_app: MillraceTest) -> Callable[..., Awaitable[list[Job]]]:
    """`await run_jobs()`: runs what is due in `millrace_app`; `advance=seconds` moves its clock meanwhile."""
    return millrace_app.run_jobs
