"""Settings that change nothing are named when the service starts, and only those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from infra.document_pages import configuration_page
from infra.serve import announce
from infra.settings import Settings, load_settings
from infra.settings_errors import SettingsError
from infra.settings_unused import UNUSED, without_effect

SEED_CONFIGS = Path(__file__).resolve().parents[1] / "controls" / "seed_configs"
DATABASE = "postgresql://localhost/db"


def named(modules: dict[str, Any]) -> set[str]:
    settings = load_settings(environ={"DATABASE_URL": DATABASE}, modules=modules)
    return {key for key, _ in without_effect(settings)}


def test_nothing_is_named_where_nothing_is_said() -> None:
    assert list(without_effect(Settings())) == []
    assert named({"jobs": {"broker": "rabbitmq"}, "progress": {"cleanup": {"retain_failed": 1}}}) == set()


@pytest.mark.parametrize(
    ("modules", "keys"),
    [
        ({"progress": {"storage": {"table": "progress"}}}, {"modules.progress.storage.table"}),
        ({"progress_tracker": {"cache": {"ttl": 60}}}, {"modules.progress.cache"}),
        ({"progress": {"cache": {"enabled": False, "ttl": 60}}}, set()),
        ({"progress": {"storage": {"type": "postgresql", "enabled": True}}}, set()),
        ({"notification": {"persistence": {"enabled": False}}}, {"modules.notifications.storage.enabled"}),
        ({"progress": {"storage": {"connection_string": DATABASE}}}, set()),
        ({"progress": {"database_url": "postgresql://elsewhere/db"}}, {"modules.progress.storage.url"}),
        ({"job_queue": {"broker": {"queue_prefix": "mine"}}}, {"modules.jobs.broker.queue_prefix"}),
        ({"cache": {"l1": {"ttl": 1}}, "search": True, "exports": False}, {"modules.cache", "modules.search"}),
        ({"notifications": {"websocket": {"path": "/ws/inbox"}}}, set()),
        ({"progress": {"websocket_url": "wss://example.org/live/progress"}}, set()),
    ],
)  # fmt: skip
def test_what_promises_something_that_is_not_done_is_named(modules: dict[str, Any], keys: set[str]) -> None:
    assert named(modules) == keys


def test_each_is_one_warning_at_the_start() -> None:
    file = SEED_CONFIGS / "004_progress_tracker.yaml"
    settings = load_settings(file, {"DATABASE_URL": DATABASE})
    with capture_logs() as lines:
        announce(settings)
    assert [(line["log_level"], line["action"], line["setting"]) for line in lines] == [
        ("warning", "setting_without_effect", "modules.progress.storage.table"),
        ("warning", "setting_without_effect", "modules.progress.cache"),
    ]
    assert all(line["setting"] in line["event"] and UNUSED[line["setting"]].reason in line["event"] for line in lines)


def test_the_page_of_all_settings_marks_each() -> None:
    page = configuration_page()
    for key, unused in UNUSED.items():
        # A section has a heading, a single setting a row.
        _, _, rest = page.partition(f"## `{key}`\n")
        rest = rest.partition("\n## ")[0] or next(line for line in page.splitlines() if line.startswith(f"| `{key}` |"))
        assert f"No effect: {unused.reason}." in rest, key


@pytest.mark.parametrize(
    "modules",
    [
        {"notifications": {"websocket": {"path": "ws/inbox"}}},
        {"notifications": {"websocket": {"path": "/ws/{user}"}}},
        {"notifications": {"websocket": {"path": "/ws/progress"}}},
        {"progress": {"websocket_url": "http://localhost/ws/progress"}},
        {"progress": {"websocket_url": "ws://localhost"}},
    ],
)
def test_a_path_that_cannot_be_is_refused(modules: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(environ={}, modules=modules)
    assert "path" in str(refused.value) or "pattern" in str(refused.value)
