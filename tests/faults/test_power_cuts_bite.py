"""A power cut takes what was not fsynced and nothing else; a full disk is full. Servers on such a disk show both."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.faults.harness import volume
from tests.faults.harness.bench import Bench
from tests.faults.harness.postgres import Postgres
from tests.faults.harness.volume import Volume
from tests.faults.harness.waiting import until

MEGABYTE = volume.MEGABYTE
ROWS = 300


@pytest_asyncio.fixture
async def disk(passable: Path) -> AsyncIterator[Volume]:
    if reason := volume.unavailable():
        pytest.skip(reason)
    made = Volume(passable)
    try:
        yield await made.start()
    finally:
        await made.close()


def loop_devices() -> str:
    return " ".join(each.read_text() for each in Path("/sys/block").glob("loop*/loop/backing_file"))


def write(path: Path, *, fsynced: bool) -> None:
    with path.open("wb") as file:
        file.write(b"x" * MEGABYTE)
        file.flush()
        if fsynced:
            os.fsync(file.fileno())


async def test_only_what_was_fsynced_survives(disk: Volume) -> None:
    kept, lost = disk.path / "kept", disk.path / "lost"
    write(kept, fsynced=True)
    write(lost, fsynced=False)
    disk.power_cut()
    with pytest.raises(OSError, match="Input/output error"):
        (disk.path / "later").write_bytes(b"x")
    await disk.restore()
    assert kept.read_bytes() == b"x" * MEGABYTE
    assert not lost.exists() or lost.read_bytes() != b"x" * MEGABYTE
    assert not (disk.path / "later").exists()


async def test_a_filled_disk_is_full_until_it_is_freed(disk: Volume) -> None:
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        write(disk.path / "more", fsynced=True)
    disk.free()
    write(disk.path / "more", fsynced=True)


async def test_nothing_is_left_behind_even_where_a_file_is_open(disk: Volume) -> None:
    image = disk.image
    with (disk.path / "held").open("wb"):
        disk.power_cut()
        await disk.close()
        assert not disk.path.is_mount()
        assert not image.exists()
    await until(lambda: image.name not in loop_devices(), 5, "the loop device is free")


async def committed(server: Postgres, disk: Volume, rows: int) -> None:
    """Inserts rows, one transaction each; returns when the server has confirmed every commit."""
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute("CREATE TABLE promises (n int)")
        # a server that does not fsync finds at least this again, and can start from it
        disk.flush()
        for n in range(rows):
            await connection.execute("INSERT INTO promises VALUES ($1)", n)
    finally:
        connection.terminate()


@pytest.mark.parametrize(("settings", "loses"), [({}, False), ({"fsync": "off"}, True)])
async def test_postgres_keeps_what_it_confirmed_unless_it_was_told_not_to(
    disk: Volume, run: Bench, settings: dict[str, str], loses: bool
) -> None:
    server = await run.start(Postgres(run.folder, data=disk.path / "postgres", settings=settings))
    await committed(server, disk, ROWS)
    await disk.cut_power(server)
    await server.start()
    connection = await asyncpg.connect(server.url)
    kept = await connection.fetchval("SELECT count(*) FROM promises")
    await connection.close()
    assert kept < ROWS if loses else kept == ROWS
