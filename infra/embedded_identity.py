"""Who runs the server: PostgreSQL refuses root, and no permission of a folder that exists may change."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.embedded_errors import NoServerUser

LAUNCHER = Path(__file__).with_name("embedded_launcher.py")
OVERFLOW_UID = 65534
PROBE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Identity:
    """The user that the server's programs run as, and how they become it."""

    mode: Literal["self", "namespace", "drop"]
    uid: int
    gid: int

    def command(self, program: Path, *arguments: str) -> list[str]:
        """The command line that runs `program` as this identity and ends it with the calling process."""
        who = [str(os.getpid()), self.mode, str(self.uid), str(self.gid)]
        return [sys.executable, "-I", "-S", str(LAUNCHER), *who, str(program), *arguments]

    def own(self, folder: Path) -> None:
        """Hand over a folder that was just made, where the identity is another user of the system."""
        if self.mode == "drop":
            os.chown(folder, self.uid, self.gid)


def server_identity(binaries: Path, data: Path, cluster: Path) -> Identity:
    """Choose who runs the server.

    An ordinary user runs it as themselves. For root a user namespace is tried first: files stay root's and nothing
    needs to be opened to others. Where the kernel forbids that, a system user takes over. The owner of a cluster that
    exists decides.

    Raises:
        NoServerUser: nobody can run it.
    """
    if os.geteuid() != 0:
        return Identity("self", os.geteuid(), os.getegid())
    owner = cluster.stat().st_uid if cluster.exists() else None
    if owner in (None, 0):
        inside = _name_for_namespace()
        namespace = Identity("namespace", inside.pw_uid, inside.pw_gid)
        if _runs(namespace, binaries):
            return namespace
        if owner == 0:
            raise NoServerUser(f"user namespaces are not permitted here, but {cluster} belongs to root")
    user = _system_user(owner)
    drop = Identity("drop", user.pw_uid, user.pw_gid)
    if not _runs(drop, binaries):
        raise NoServerUser(f"user {user.pw_name!r} cannot run {binaries / 'postgres'}")
    closed = _first_closed(data)
    if closed is not None:
        raise NoServerUser(f"user {user.pw_name!r} cannot enter {closed}")
    return drop


def _name_for_namespace() -> pwd.struct_passwd:
    # initdb insists on a name for its user; the number for "unmapped" would make everybody's files look like ours
    users = sorted(pwd.getpwall(), key=lambda user: user.pw_uid)
    named = [user for user in users if user.pw_uid not in (0, OVERFLOW_UID)]
    if not named:
        raise NoServerUser("the system has no user but root")
    return named[0]


def _system_user(owner: int | None) -> pwd.struct_passwd:
    try:
        if owner is not None:
            return pwd.getpwuid(owner)
    except KeyError:
        raise NoServerUser(f"the data belongs to user {owner}, which this system does not have") from None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoServerUser("the system has neither user 'postgres' nor user 'nobody'")


def _runs(identity: Identity, binaries: Path) -> bool:
    probe = _quiet(identity.command(binaries / "postgres", "--version"))
    return probe == 0


def _quiet(command: Sequence[str]) -> int:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PROBE_SECONDS,
        check=False,
        cwd="/",
    ).returncode


def _first_closed(data: Path) -> Path | None:
    path = data.resolve()
    closed = (folder for folder in (path, *path.parents) if folder.exists() and not folder.stat().st_mode & 0o001)
    return next(closed, None)
