"""Which environment variables are settings: the common names, and `MILLRACE_` with the setting's own name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from infra.settings_aliases import MODULE_SPELLINGS
from infra.settings_errors import SettingsError, SettingsProblem

PREFIX = "MILLRACE_"
CONFIG_VARIABLE = "MILLRACE_CONFIG"
SHARED_NAMES: Mapping[str, str] = {
    "DATABASE_URL": "database_url",
    "REDIS_URL": "redis_url",
    "RABBITMQ_URL": "rabbitmq_url",
    "WEAVIATE_URL": "weaviate_url",
    "WEAVIATE_API_KEY": "weaviate_api_key",
    "QDRANT_URL": "qdrant_url",
    "QDRANT_API_KEY": "qdrant_api_key",
    "COHERE_API_KEY": "cohere_api_key",
    "OPENAI_API_KEY": "openai_api_key",
    "SENDGRID_API_KEY": "sendgrid_api_key",
    "MINIO_URL": "minio_url",
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_REGION": "aws_region",
    "AWS_BUCKET": "aws_bucket",
    "METRICS_PORT": "modules.jobs.monitoring.metrics_port",
    "MILLRACE_METRICS_PORT": "modules.jobs.monitoring.metrics_port",
    "MILLRACE_LOG_LEVEL": "logging.level",
    "MILLRACE_LOG_FORMAT": "logging.format",
}
# names that the client, the command line and the scripts read, so that they are no misspelled settings
OTHERS = frozenset(
    {
        CONFIG_VARIABLE,
        "MILLRACE_URL",
        "MILLRACE_API_KEY",
        "MILLRACE_TENANT",
        "MILLRACE_COMPANY",
        "MILLRACE_DEBUG",
        "MILLRACE_SERVICES_DIR",
        "MILLRACE_POSTGRES_PORT",
        "MILLRACE_RABBITMQ_PORT",
        "MILLRACE_RABBITMQ_MANAGEMENT_PORT",
        "MILLRACE_REDIS_PORT",
    }
)
OTHER_PREFIX = "MILLRACE_TEST_"


def environment_tree(environ: Mapping[str, str], fields: Collection[str]) -> dict[str, Any]:
    """The settings in the environment as a tree. An empty variable counts as not set.

    `MILLRACE_MODULES__JOBS__DEFAULTS__TIMEOUT` is `modules.jobs.defaults.timeout`.

    Args:
        environ: the variables.
        fields: names of the settings at the top.

    Raises:
        SettingsError: a variable begins with `MILLRACE_` but is no setting.
    """
    names = SHARED_NAMES.keys() | OTHERS | {PREFIX + field.upper() for field in fields}
    tree: dict[str, Any] = {}
    wrong: list[SettingsProblem] = []
    # shared names first, so that the one with our prefix wins
    for name in sorted(environ, key=lambda name: (name.startswith(PREFIX), name)):
        path = _path(name, fields)
        if path is not None and environ[name]:
            _put(tree, path, environ[name])
        elif path is None and _is_ours(name):
            near = get_close_matches(name, sorted(names), n=1)
            wrong.append(SettingsProblem(name, "is no setting", near[0] if near else None))
    if wrong:
        raise SettingsError(*wrong)
    return tree


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX) and name not in OTHERS and not name.startswith(OTHER_PREFIX)


def _path(name: str, fields: Collection[str]) -> list[str] | None:
    if name in SHARED_NAMES:
        return SHARED_NAMES[name].split(".")
    if not _is_ours(name):
        return None
    path = name.removeprefix(PREFIX).lower().split("__")
    if path[0] == "modules" and len(path) > 1:
        path[1] = MODULE_SPELLINGS.get(path[1], path[1])
    return path if path[0] in fields else None


def _put(tree: dict[str, Any], path: list[str], text: str) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = _structure(text) if path[0] in ("modules", "logging") or len(path) > 1 else text


def _structure(text: str) -> Any:
    if text[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
