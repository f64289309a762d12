"""The object storage that the settings ask for, and what uses it."""

from __future__ import annotations

from pathlib import Path

from adapters.postgres.archive import PostgresArchivableLog
from adapters.postgres.mapper import EventMapper
from adapters.storage.local_folder import LocalFolder
from domain.storage import ObjectStore
from handlers.archive import Archiver
from handlers.pipeline import Pipeline
from infra.settings import Settings
from infra.storage import Storage


def object_store(settings: Settings) -> ObjectStore | None:
    """Where archives and large results go; None where nothing is configured, and so neither can be made."""
    path = settings.modules.jobs.storage.path
    if path is not None:
        return LocalFolder(Path(path))
    return LocalFolder(settings.data / "objects") if settings.database_url is None else None


def archiver_of(
    storage: Storage, objects: ObjectStore | None, pipeline: Pipeline, mapper: EventMapper, age: float | None
) -> Archiver | None:
    """What moves streams into the storage; without one nothing can.

    Args:
        age: seconds; see `Archiver`.
    """
    if objects is None:
        return None
    return Archiver(PostgresArchivableLog(storage.pool, mapper), objects, pipeline, storage.readers, age)
