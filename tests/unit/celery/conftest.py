"""An application in memory whose tasks run at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from millrace.contrib.celery import Celery
from millrace.contrib.celery.testing import eager
from millrace.testing import MillraceTest


@pytest.fixture
def app() -> Celery:
    return Celery("tests", broker="http://127.0.0.1:1")


@pytest.fixture
def service(app: Celery) -> Iterator[MillraceTest]:
    """The service that the application uses; tasks are declared by the test's own fixtures or before they are sent."""
    with eager(app) as service:
        yield service
