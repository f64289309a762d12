"""Settings that are accepted, because documents of the system show them, and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr

from infra.settings import Settings

READ_MODELS = "read models are in the database of the service, in tables with names of their own"
LATER = "the module is not in this release"


class Unused(NamedTuple):
    """One setting, or a whole section.

    Attributes:
        reason: why it changes nothing, and where one says it instead.
        misleads: whether a value promises what is not done; told all settings and the value.
    """

    reason: str
    misleads: Callable[[Settings, Any], bool] = lambda _, value: value is not None


def _is_on(_: Settings, section: Any) -> bool:
    return bool(section.enabled)


def _is_off(_: Settings, enabled: bool) -> bool:
    return not enabled


def _is_another_database(settings: Settings, url: SecretStr | None) -> bool:
    return url is not None and url != settings.database_url


UNUSED: Mapping[str, Unused] = {
    "modules.jobs.broker.url": Unused("RabbitMQ is at `rabbitmq_url`, PostgreSQL at `database_url`"),
    "modules.jobs.broker.queue_prefix": Unused("the names of exchanges and queues are fixed"),
    "modules.progress.storage.enabled": Unused(READ_MODELS, _is_off),
    "modules.progress.storage.url": Unused(READ_MODELS, _is_another_database),
    "modules.progress.storage.table": Unused(READ_MODELS),
    "modules.progress.cache": Unused("reads are answered from PostgreSQL; nothing is kept in front of it", _is_on),
    "modules.notifications.storage.enabled": Unused(READ_MODELS, _is_off),
    "modules.notifications.storage.url": Unused(READ_MODELS, _is_another_database),
    "modules.notifications.storage.table": Unused(READ_MODELS),
    "modules.exports": Unused(LATER, _is_on),
    "modules.cache": Unused(LATER, _is_on),
    "modules.search": Unused(LATER, _is_on),
}


def without_effect(settings: Settings) -> Iterator[tuple[str, str]]:
    """The keys that were given and promise what is not done, each with the reason."""
    for key, unused in UNUSED.items():
        given = _given(settings, key.split("."))
        if given is not None and unused.misleads(settings, given[0]):
            yield key, unused.reason


def _given(part: BaseModel, path: list[str]) -> tuple[Any] | None:
    """The value at a path, where somebody has said it."""
    first, *rest = path
    if first not in part.model_fields_set:
        return None
    value = getattr(part, first)
    return _given(value, rest) if rest else (value,)
