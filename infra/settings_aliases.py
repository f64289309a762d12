"""The one table of spellings: every form that a document of the system shows, translated to the canonical shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from infra.settings_errors import SettingsError, SettingsProblem

Tree = dict[str, Any]
Shape = Literal["any", "scalar", "list", "map"]

HOUR = 3_600
MODULE_SPELLINGS: Mapping[str, str] = {
    "jobs": "jobs",
    "job": "jobs",
    "job_queue": "jobs",
    "progress": "progress",
    "progress_tracker": "progress",
    "notifications": "notifications",
    "notification": "notifications",
    "exports": "exports",
    "export": "exports",
    "cache": "cache",
    "search": "search",
}


def _same(value: Any) -> Any:
    return value


def _seconds(hours: Any) -> Any:
    try:
        return float(hours) * HOUR
    except (TypeError, ValueError):
        # left to be refused with its key
        return hours


def _enabled_each(names: list[Any]) -> Tree:
    return {_channel(str(name)): {"enabled": True} for name in names}


def _only_channels(names: list[Any]) -> Tree:
    # Null turns one off that would be there without a word, unless it has a section of its own.
    return {"email": None, "webhook": None} | _enabled_each(names)


def _channel(name: str) -> str:
    return "in-app" if name == "in_app" else name


def _channels(channels: Tree) -> Tree:
    return {_channel(name): channel for name, channel in channels.items()}


def _pools(pools: Tree) -> Tree:
    """Worker pools become workers for each queue that a pool serves."""
    queues: Tree = {}
    for name, pool in pools.items():
        if not isinstance(pool, dict) or not {*pool} <= {"count", "queues"}:
            raise SettingsError(SettingsProblem(f"modules.jobs.workers.{name}", "has `count` and `queues`"))
        for queue in pool.get("queues", [name]):
            queues[str(queue)] = {"workers": pool.get("count", 1)}
    return queues


@dataclass(frozen=True, slots=True)
class Spelling:
    """One accepted form: where it is written, what it means, and for which shape of value it is an alias."""

    written: str
    means: str
    shape: Shape = "any"
    convert: Callable[[Any], Any] = _same

    def applies(self, value: Any) -> bool:
        """Whether a value at `written` is this alias, and not the canonical form in the same place."""
        match self.shape:
            case "any":
                return True
            case "scalar":
                return not isinstance(value, dict | list)
            case "list":
                return isinstance(value, list)
            case "map":
                return isinstance(value, dict)


SPELLINGS: Mapping[str, tuple[Spelling, ...]] = {
    "jobs": (
        Spelling("broker", "broker.type", "scalar"),
        Spelling("broker.connection_string", "broker.url"),
        Spelling("workers", "queues.default.workers", "scalar"),
        Spelling("workers", "queues", "map", _pools),
    ),
    "progress": (
        Spelling("storage", "storage.type", "scalar"),
        Spelling("storage_type", "storage.type"),
        Spelling("storage.connection_string", "storage.url"),
        Spelling("database_url", "storage.url"),
        Spelling("websocket", "realtime.enabled", "scalar"),
        Spelling("websocket.enabled", "realtime.enabled"),
        Spelling("websocket.url", "realtime.websocket_url"),
        Spelling("websocket_enabled", "realtime.enabled"),
        Spelling("websocket_url", "realtime.websocket_url"),
        Spelling("retention.completed", "cleanup.retain_completed"),
        Spelling("retention.failed", "cleanup.retain_failed"),
        Spelling("retain_completed_hours", "cleanup.retain_completed", "scalar", _seconds),
        Spelling("retain_failed_hours", "cleanup.retain_failed", "scalar", _seconds),
    ),
    "notifications": (
        Spelling("channels", "channels", "list", _only_channels),
        Spelling("channels", "channels", "map", _channels),
        Spelling("email_provider", "channels.email.provider"),
        Spelling("email", "channels.email", "map"),
        Spelling("push", "channels.push", "map"),
        Spelling("channels.email.from", "channels.email.from_address"),
        Spelling("channels.push.credentials", "channels.push.credentials_path"),
        Spelling("storage", "storage.type", "scalar"),
        Spelling("storage.connection_string", "storage.url"),
        Spelling("persistence.enabled", "storage.enabled"),
        Spelling("persistence.retention", "retention"),
        Spelling("websocket", "websocket.enabled", "scalar"),
    ),
    "cache": (
        Spelling("l1_enabled", "l1.enabled"),
        Spelling("l2_enabled", "l2.enabled"),
        Spelling("l2.connection_string", "l2.url"),
    ),
    "exports": (
        Spelling("storage", "storage.type", "scalar"),
        Spelling("formats", "formats", "list", _enabled_each),
    ),
    "search": (
        Spelling("vector_db", "vector_db.type", "scalar"),
        Spelling("embeddings", "embeddings.provider", "scalar"),
    ),
}


def canonical(tree: Tree) -> Tree:
    """The same settings in canonical shape. A module may also stand at the top, outside `modules`.

    Raises:
        SettingsError: two spellings of one setting are given.
    """
    result = {key: value for key, value in tree.items() if key not in MODULE_SPELLINGS and key != "modules"}
    given = tree.get("modules", {})
    if not isinstance(given, dict):
        return tree
    modules: Tree = {}
    for source in (given, {key: value for key, value in tree.items() if key in MODULE_SPELLINGS}):
        for spelled, section in source.items():
            name = MODULE_SPELLINGS.get(spelled, spelled)
            if name in modules:
                raise SettingsError(SettingsProblem(f"modules.{spelled}", f"{name} is configured twice"))
            modules[name] = _canonical_section(name, section)
    return result | {"modules": modules} if modules else result


def _canonical_section(name: str, section: Any) -> Any:
    if isinstance(section, bool):
        return {"enabled": section}
    if not isinstance(section, dict):
        return section
    result = _copy(section)
    for spelling in SPELLINGS.get(name, ()):
        found = _take(result, spelling.written.split("."), spelling)
        if found is not None:
            _put(result, spelling.means.split("."), found[0], f"modules.{name}.{spelling.written}")
    return result


def _copy(tree: Any) -> Any:
    return {key: _copy(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


def _take(tree: Tree, path: list[str], spelling: Spelling) -> tuple[Any] | None:
    """Remove and return what is written at `path`, and the parents that are empty without it."""
    first, *rest = path
    if first not in tree:
        return None
    if not rest:
        return (spelling.convert(tree.pop(first)),) if spelling.applies(tree[first]) else None
    if not isinstance(tree[first], dict):
        return None
    found = _take(tree[first], rest, spelling)
    if found is not None and not tree[first]:
        del tree[first]
    return found


def _put(tree: Tree, path: list[str], value: Any, written: str) -> None:
    for name in path[:-1]:
        if tree.get(name) is None:
            tree[name] = {}
        tree = tree[name]
        if not isinstance(tree, dict):
            raise SettingsError(SettingsProblem(written, f"{'.'.join(path)} is given in another form too"))
    last = path[-1]
    if tree.get(last) is None:
        tree[last] = value
    elif isinstance(tree[last], dict) and isinstance(value, dict):
        for name, item in value.items():
            _put(tree[last], [name], item, written)
    elif tree[last] != value:
        raise SettingsError(SettingsProblem(written, f"{'.'.join(path)} is given too, with another value"))
