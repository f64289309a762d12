"""Becomes a PostgreSQL program: as a user that is not root, and dying with the process that asked for it.

Runs as a script in an interpreter of its own (`python -I -S`), so that nothing happens between fork and exec of a
process with threads: `embedded_launcher.py <owner pid> <self|namespace|drop> <uid> <gid> <program> <arguments …>`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
REFUSED = 126


def enter_namespace(uid: int, gid: int) -> None:
    """Enter a user namespace where this process is `uid`; outside it stays who it was, and so do its files."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"a user namespace is not permitted: {os.strerror(number)}")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {outer_uid} 1"), ("gid_map", f"{gid} {outer_gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def become(mode: str, uid: int, gid: int) -> None:
    """Change to the user that `mode` asks for."""
    if mode == "namespace":
        enter_namespace(uid, gid)
    elif mode == "drop":
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def die_with(owner: int) -> None:
    """Ask the kernel for a fast shutdown of this process when `owner` dies.

    Comes after every change of user, which clears the request. Other systems than Linux have no such request: there the
    next start stops the server that was left behind.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
    if os.getppid() != owner:
        raise OSError(f"process {owner} is gone")


def main(arguments: list[str]) -> None:
    """Become the program; returns only by an exception."""
    owner, mode, uid, gid, *program = arguments
    become(mode, int(uid), int(gid))
    os.umask(0o077)
    die_with(int(owner))
    os.execv(program[0], program)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(REFUSED)
