"""Settings: precedence and spellings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
SEED_CONFIGS = ROOT / "tests" / "controls" / "seed_configs"
SEED_ENVIRONMENT = {
    "DATABASE_URL": "postgresql://user:canary-database@localhost/db",
    "REDIS_URL": "redis://localhost:6379",
    "QDRANT_URL": "http://localhost:6333",
    "QDRANT_API_KEY": "canary-qdrant",
    "OPENAI_API_KEY": "canary-openai",
    "SENDGRID_API_KEY": "canary-sendgrid",
}


def written(folder: Path, text: str, name: str = "modules.yaml") -> Path:
    """A settings file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def seed(name: str) -> Settings:
    """The settings of one seed's configuration block."""
    return load_settings(SEED_CONFIGS / name, SEED_ENVIRONMENT)


def test_defaults_are_the_ones_of_the_contract() -> None:
    settings = Settings()
    jobs = settings.modules.jobs
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert {name: (queue.priority, queue.workers) for name, queue in jobs.queues.items()} == {
        "default": (0, 4),
        "high_priority": (10, 2),
        "low_priority": (-10, 1),
    }
    assert (jobs.defaults.max_attempts, jobs.defaults.backoff.kind, jobs.defaults.timeout) == (3, "exponential", 300)
    assert (jobs.leases.duration, jobs.scheduler.timezone, jobs.monitoring.metrics_port) == (30, "UTC", 9090)


def test_the_file_in_the_repository_says_what_the_defaults_are() -> None:
    assert load_settings(ROOT / "config" / "modules.yaml", {}).model_dump() == Settings().model_dump()


def test_code_wins_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, "host: file\nport: 1\naws_region: file\nmodules: {jobs: {defaults: {timeout: 7}}}\n")
    environ = {"MILLRACE_HOST": "environment", "MILLRACE_PORT": "2"}
    settings = load_settings(file, environ, host="code")
    assert (settings.host, settings.port, settings.aws_region) == ("code", 2, "file")
    assert settings.modules.jobs.defaults.timeout == 7
    assert settings.modules.jobs.defaults.max_attempts == 3


def test_sources_merge_key_by_key_whatever_spelling_each_uses(tmp_path: Path) -> None:
    file = written(tmp_path, "job_queue: {workers: 9, defaults: {timeout: 7}}")
    environ = {"MILLRACE_MODULES__JOB_QUEUE__DEFAULTS__MAX_ATTEMPTS": "5", "METRICS_PORT": "9191"}
    jobs = load_settings(file, environ, modules={"jobs": {"scheduler": {"timezone": "Europe/Berlin"}}}).modules.jobs
    assert (jobs.queues["default"].workers, jobs.defaults.timeout, jobs.defaults.max_attempts) == (9, 7, 5)
    assert (jobs.scheduler.timezone, jobs.monitoring.metrics_port) == ("Europe/Berlin", 9191)


def test_an_own_queue_is_added_to_the_default_ones() -> None:
    queues = load_settings(environ={}, jobs={"queues": {"media": {"priority": 5}, "default": {"workers": 8}}})
    found = queues.modules.jobs.queues
    assert set(found) == {"default", "high_priority", "low_priority", "media"}
    assert (found["default"].workers, found["media"].workers, found["media"].priority) == (8, 1, 5)


def test_the_configuration_variable_names_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, json.dumps({"port": 4321}), "settings.json")
    assert load_settings(environ={"MILLRACE_CONFIG": str(file)}).port == 4321


@pytest.mark.parametrize("block", sorted(SEED_CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_seed_configuration_block_loads(block: Path) -> None:
    load_settings(block, SEED_ENVIRONMENT)


def test_the_seed_environment_loads() -> None:
    lines = (SEED_CONFIGS / "001_environment.env").read_text().splitlines()
    environ = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings = load_settings(environ=environ)
    assert settings.database_url is not None
    assert (settings.aws_region, settings.aws_bucket, settings.qdrant_api_key) == ("us-east-1", "exports", None)


def test_two_spellings_of_the_same_jobs_mean_the_same() -> None:
    short, pools, queues = seed("001_modules.yaml"), seed("001_job_queue.yaml"), seed("004_job_queue.yaml")
    assert short.modules.jobs.queues == pools.modules.jobs.queues == queues.modules.jobs.queues
    assert pools.modules.jobs.defaults == queues.modules.jobs.defaults


def test_every_spelling_of_progress_means_the_same_retention() -> None:
    names = ("001_progress_python.yaml", "001_progress_node.yaml", "004_progress_tracker.yaml")
    found = [seed(name).modules.progress for name in names]
    assert {(progress.cleanup.retain_completed, progress.cleanup.retain_failed) for progress in found} == {
        (86_400, 604_800)
    }
    assert all(progress.enabled and progress.realtime.enabled for progress in found)


def test_without_a_word_what_has_ended_is_kept_for_a_day_and_a_week_and_an_inbox_for_a_month_and_three() -> None:
    modules, day = load_settings(environ={}).modules, 86_400
    assert modules.progress.cleanup.ages() == {"completed": day, "failed": 7 * day, "cancelled": 7 * day}
    kept = modules.notifications.retention
    assert (kept.read, kept.unread) == (30 * day, 90 * day)


def test_pages_of_the_inbox_may_come_from_where_its_websocket_allows() -> None:
    notifications = {"websocket": {"cors_origins": ["http://localhost:5173"]}}
    settings = load_settings(
        environ={}, allowed_origins=["https://app.example.org"], modules={"notifications": notifications}
    )
    assert settings.web_origins() == ("https://app.example.org", "http://localhost:5173")


def test_channels_as_a_list_and_as_a_map_mean_the_same() -> None:
    listed, mapped = seed("001_modules.yaml"), seed("001_notification.yaml")
    channels = listed.modules.notifications.channels
    assert {name for name, channel in channels.items() if channel.enabled} == {"in-app", "email"}
    assert channels["email"].provider == mapped.modules.notifications.channels["email"].provider == "sendgrid"
    assert mapped.modules.notifications.channels["push"].enabled is False
    assert mapped.modules.notifications.channels["email"].from_address == "noreply@example.com"


def test_formats_as_a_list_and_as_a_map_mean_the_same() -> None:
    assert set(seed("000_modules.yaml").modules.exports.formats) == {"txt", "json", "srt"}
    assert seed("004_export.yaml").modules.exports.formats["json"].pretty


def test_a_module_without_a_section_is_off_and_one_with_a_section_is_on() -> None:
    modules = load_settings(environ={}, search={}).modules
    assert (modules.jobs.enabled, modules.search.enabled, modules.cache.enabled) == (True, True, False)


def test_hours_may_be_fractions() -> None:
    cleanup = load_settings(environ={}, progress={"retain_failed_hours": "1.5"}).modules.progress.cleanup
    assert cleanup.retain_failed == 5_400


def test_logging_levels_are_read_for_modules() -> None:
    settings = load_settings(environ={"MILLRACE_LOG_LEVEL": "WARNING"}, logging={"modules": {"jobs": "DEBUG"}})
    assert (settings.logging.level, settings.logging.modules) == ("warning", {"jobs": "debug"})
