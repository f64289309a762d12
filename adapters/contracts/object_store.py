"""What every object storage guarantees. A subclass with a fixture `objects` runs all of it."""

from __future__ import annotations

import hashlib

import pytest

from domain.storage import ObjectDamaged, ObjectMissing, ObjectStore, StoredObject


class ObjectStoreSuite:
    async def test_what_was_stored_is_read_as_it_was(self, objects: ObjectStore) -> None:
        for content in (b"", b"\x00\xff" * 70_000):
            stored = await objects.put("acme", "archive", content)
            digest = hashlib.sha256(content).hexdigest()
            assert stored == StoredObject(f"acme/archive/{digest}", digest, len(content))
            assert await objects.get(stored) == content

    async def test_storing_it_again_changes_nothing(self, objects: ObjectStore) -> None:
        assert await objects.put("acme", "archive", b"same") == await objects.put("acme", "archive", b"same")

    async def test_tenants_and_folders_are_kept_apart(self, objects: ObjectStore) -> None:
        names = {(await objects.put(t, f, b"same")).name for t in ("acme", "north") for f in ("archive", "results")}
        assert len(names) == 4

    async def test_what_was_deleted_is_missing(self, objects: ObjectStore) -> None:
        stored = await objects.put("acme", "archive", b"gone")
        await objects.delete(stored)
        await objects.delete(stored)
        with pytest.raises(ObjectMissing, match=stored.name):
            await objects.get(stored)

    async def test_how_large_an_object_is_says_what_is_there(self, objects: ObjectStore) -> None:
        empty = await objects.put("acme", "archive", b"")
        stored = await objects.put("acme", "archive", b"\x00\xff" * 70_000)
        assert [await objects.size(each._replace(size=7)) for each in (empty, stored)] == [0, 140_000]
        await objects.delete(stored)
        with pytest.raises(ObjectMissing, match=stored.name):
            await objects.size(stored)

    async def test_another_content_than_was_stored_is_refused(self, objects: ObjectStore) -> None:
        stored = await objects.put("acme", "archive", b"right")
        with pytest.raises(ObjectDamaged, match=stored.name):
            await objects.get(stored._replace(sha256=hashlib.sha256(b"wrong").hexdigest()))

    async def test_a_name_leads_nowhere_else(self, objects: ObjectStore) -> None:
        digest = hashlib.sha256(b"").hexdigest()
        for name in ("../../etc/passwd", "/etc/passwd", "acme/../../x"):
            for read in (objects.get, objects.size):
                with pytest.raises(ObjectMissing):
                    await read(StoredObject(name, digest, 0))
