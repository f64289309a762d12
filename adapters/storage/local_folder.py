"""Object storage in a folder of this machine, or of a file system that all processes of the service share."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from domain.storage import ObjectDamaged, ObjectMissing, ObjectUnavailable, StoredObject

P = ParamSpec("P")
T = TypeVar("T")


class LocalFolder:
    """Implements `domain.storage.ObjectStore`: one file for each object, `<tenant>/<folder>/<sha256>`.

    A file appears under its name once all of it is on the disk, so that a crash leaves no half of one. Folders that
    become empty go with their last file.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, tenant: str, folder: str, content: bytes) -> StoredObject:
        digest = hashlib.sha256(content).hexdigest()
        stored = StoredObject(f"{tenant}/{folder}/{digest}", digest, len(content))
        try:
            await self._done(self._write, self._path(stored.name), content)
        except FileNotFoundError as error:
            raise ObjectUnavailable(f"the storage folder {self._root} changed meanwhile; store it again") from error
        return stored

    async def get(self, stored: StoredObject) -> bytes:
        try:
            content = await self._done(self._path(stored.name).read_bytes)
        except FileNotFoundError:
            raise ObjectMissing(stored.name) from None
        found = hashlib.sha256(content).hexdigest()
        if found != stored.sha256:
            raise ObjectDamaged(stored.name, stored.sha256, found)
        return content

    async def size(self, stored: StoredObject) -> int:
        try:
            return (await self._done(self._path(stored.name).stat)).st_size
        except FileNotFoundError:
            raise ObjectMissing(stored.name) from None

    async def delete(self, stored: StoredObject) -> None:
        path = self._path(stored.name)
        with suppress(FileNotFoundError):
            await self._done(self._remove, path)

    async def _done(self, act: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(act, *arguments, **named)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ObjectUnavailable(f"the storage folder {self._root} cannot be used: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        """The file of an object.

        Raises:
            ObjectMissing: the name would lead out of the folder.
        """
        path = self._root / name
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise ObjectMissing(name)
        return path

    def _remove(self, path: Path) -> None:
        path.unlink()
        for folder in path.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:
                # Others are in it, or somebody else was faster.
                return

    def _write(self, path: Path, content: bytes) -> None:
        if path.exists() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(unfinished)
            raise
        for folder in (path.parent, *(each for each in path.parents if each.is_relative_to(self._root))):
            _sync(folder)


def _sync(folder: Path) -> None:
    """Makes the names in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
