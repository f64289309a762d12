"""Archiving by an operator, beside the running service or without it."""

from __future__ import annotations

from handlers.archive import Archived
from infra.bootstrap import build
from infra.settings import Settings


class NoStorage(Exception):
    """Raised when there is nowhere to put archives."""

    def __init__(self) -> None:
        super().__init__("no storage is configured; set modules.jobs.storage.path to a folder that all processes share")


class NoAge(Exception):
    """Raised when nobody says how old jobs must be."""

    def __init__(self) -> None:
        super().__init__("say how long ago the jobs were removed: --after SECONDS, or modules.jobs.archive.after")


async def archive_now(settings: Settings, dsn: str, after: float | None) -> Archived:
    """Archives once all that is old enough.

    Args:
        after: seconds since the jobs were removed; default: the setting.

    Raises:
        NoStorage: none is configured.
        NoAge: neither an argument nor a setting says it.
        ObjectUnavailable: the storage takes nothing.
    """
    age = settings.modules.jobs.archive.after if after is None else after
    if age is None:
        raise NoAge
    system = await build(settings, dsn, ())
    try:
        if system.archiver is None:
            raise NoStorage
        return await system.archiver.sweep(age)
    finally:
        await system.stop()
