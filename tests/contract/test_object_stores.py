"""Every object storage passes one suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.contracts.object_store import ObjectStoreSuite
from adapters.storage.local_folder import LocalFolder
from domain.storage import ObjectDamaged, ObjectStore, ObjectUnavailable


class TestLocalFolder(ObjectStoreSuite):
    @pytest.fixture
    def objects(self, tmp_path: Path) -> ObjectStore:
        return LocalFolder(tmp_path / "objects")


async def test_a_file_that_was_changed_is_told_and_written_anew(tmp_path: Path) -> None:
    objects = LocalFolder(tmp_path)
    stored = await objects.put("acme", "results", b"content")
    (tmp_path / stored.name).write_bytes(b"c0ntent")
    with pytest.raises(ObjectDamaged):
        await objects.get(stored)
    await objects.put("acme", "results", b"content")
    assert await objects.get(stored) == b"content"


async def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ObjectUnavailable, match="file"):
        await LocalFolder(tmp_path / "file").put("acme", "results", b"content")
