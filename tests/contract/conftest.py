from __future__ import annotations

import pytest

# Suites are not test modules by name; their assertions are to be explained all the same.
pytest.register_assert_rewrite(
    "tests.contract.client_control",
    "tests.contract.client_enqueuing",
    "tests.contract.client_events",
    "tests.contract.client_notifications",
    "tests.contract.client_queues",
    "tests.contract.client_reading",
    "tests.contract.client_running",
    "tests.contract.client_schedules",
    "tests.contract.client_subscriptions",
)
