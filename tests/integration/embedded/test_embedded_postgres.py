"""The embedded PostgreSQL from start to stop, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncpg
import pytest

from infra.embedded_binaries import installed_binaries
from infra.embedded_errors import (
    DataFolderInUse,
    DataFolderUnusable,
    EmbeddedPostgresFailed,
    PostgresMajorMismatch,
)
from infra.embedded_folder import LOG_LIMIT_BYTES
from infra.embedded_postgres import EmbeddedPostgres
from tests.integration.embedded.support import (
    OWNER,
    ROOT,
    exists,
    owned_by_child,
    permissions,
    running,
)


async def test_a_started_server_keeps_everything_over_a_restart(data: Path) -> None:
    async with running(data) as (_, connection):
        await connection.execute("create table kept (n int)")
        await connection.execute("insert into kept values (42)")
    async with running(data) as (_, connection):
        assert await connection.fetchval("select n from kept") == 42


async def test_settings_are_the_durable_ones_and_only_the_socket_listens(data: Path) -> None:
    async with running(data) as (_, connection):
        rows = await connection.fetch("select name, setting from pg_settings")
        settings = {row["name"]: row["setting"] for row in rows}
        expected = {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "jit": "off",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
        }
        assert {name: settings[name] for name in expected} == expected
        assert await connection.fetchval("select datlocale from pg_database where datname = 'millrace'") == "C.UTF-8"
        await connection.execute("create extension vector")


async def test_the_folder_records_the_postgres_major_and_the_socket(data: Path) -> None:
    async with running(data):
        socket = (data / "socket").read_text().strip()
        assert os.listdir(socket)
        assert permissions(socket) == permissions(data / "postgres") == 0o700
    assert json.loads((data / "millrace.json").read_text())["postgres_major"] in installed_binaries()
    assert not exists(socket)
    assert not exists(data / "socket")


async def test_a_second_instance_on_the_same_data_is_refused_with_the_pid_of_the_first(data: Path) -> None:
    async with running(data) as (_, connection):
        with pytest.raises(DataFolderInUse) as refused:
            await EmbeddedPostgres(data).start()
        assert refused.value.pid == os.getpid()
        assert "\n" not in str(refused.value)
        assert await connection.fetchval("select 1") == 1


async def test_a_second_process_on_the_same_data_is_refused_with_the_pid_of_the_first(data: Path) -> None:
    async with owned_by_child(data) as (child, _):
        with pytest.raises(DataFolderInUse) as refused:
            await EmbeddedPostgres(data).start()
        assert refused.value.pid == child.pid


async def test_stop_ends_in_time_with_a_client_in_a_transaction(data: Path) -> None:
    server = EmbeddedPostgres(data)
    connection = await asyncpg.connect(await server.start())
    await connection.execute("begin")
    async with asyncio.timeout(15):
        await server.stop(timeout=3)
    connection.terminate()
    assert not server.running


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data: Path) -> None:
    async with running(data) as (server, _):
        assert server.pid is not None
        assert os.getpgid(server.pid) != os.getpgid(0)
        assert os.getsid(server.pid) != os.getsid(0)


async def test_a_python_without_the_package_is_told_how_to_get_it() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import infra.embedded_binaries as b; b.installed_binaries()"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", code), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await child.communicate()
    assert "EmbeddedPostgresMissing" in errors.decode().splitlines()[-1]
    assert "pip install" in errors.decode().splitlines()[-1]


async def test_data_of_a_version_that_is_not_installed_names_the_way_out(data: Path) -> None:
    async with running(data):
        pass
    (data / "millrace.json").write_text('{"postgres_major": 12}')
    with pytest.raises(PostgresMajorMismatch) as mismatch:
        await EmbeddedPostgres(data).start()
    assert mismatch.value.recorded == 12
    assert "pg_dump" in str(mismatch.value)
    assert "pip install" in str(mismatch.value)
    assert "\n" not in str(mismatch.value)


async def test_a_damaged_version_record_is_a_refusal_and_never_a_new_database(data: Path) -> None:
    async with running(data):
        pass
    (data / "millrace.json").write_text("{")
    with pytest.raises(DataFolderUnusable):
        await EmbeddedPostgres(data).start()


async def test_a_failed_start_tells_the_reason_in_one_line_and_frees_the_folder(data: Path) -> None:
    async with running(data):
        pass
    settings = data / "postgres" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "\nno_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresFailed) as failed:
        await EmbeddedPostgres(data).start()
    assert "\n" not in str(failed.value)
    assert any("no_such_setting" in line for line in failed.value.log_tail)
    settings.write_text(good)
    async with running(data):
        pass


async def test_a_data_path_longer_than_a_socket_path_works(data: Path) -> None:
    deep = data / ("d" * 100) / ("e" * 100) / "größe und leer"
    async with running(deep) as (_, connection):
        assert await connection.fetchval("select 1") == 1


async def test_the_surroundings_do_not_change_where_the_server_is(data: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(OWNER),
        str(data),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PGPORT": "6543", "PGDATA": "/nowhere", "PGDATABASE": "other"},
    )
    assert child.stdout is not None
    assert await asyncio.wait_for(child.stdout.readline(), 30)
    child.kill()
    await child.wait()


async def test_a_long_log_is_begun_again_and_the_old_one_kept(data: Path) -> None:
    async with running(data):
        pass
    with (data / "postgres.log").open("ab") as log:
        log.truncate(LOG_LIMIT_BYTES + 1)
    async with running(data):
        pass
    assert (data / "postgres.log").stat().st_size < LOG_LIMIT_BYTES
    assert (data / "postgres.log.1").stat().st_size > LOG_LIMIT_BYTES
