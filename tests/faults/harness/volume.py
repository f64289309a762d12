"""A file system of a run's own that can lose its power and run full.

ext4 on a loop device on a file in memory. A power cut drops everything that was written and not yet fsynced, as pulling
the plug does; a mere kill never shows what a server fails to fsync.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Protocol, Self

from tests.faults.harness.waiting import until

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
WITHOUT_FLUSHING_THE_LOG = 2
MEMORY = Path("/dev/shm")
PROGRAMS = ("mkfs.ext4", "mount", "umount")
BUSY_SECONDS = 15.0
CLOSE_SECONDS = 3.0
COMMAND_SECONDS = 30.0
MEGABYTE = 1024 * 1024


class Killable(Protocol):
    """A server whose files lie on the volume."""

    async def kill(self) -> None: ...


class VolumeFailed(Exception):
    """Raised when a file system cannot be made, mounted or unmounted; `output` is what the program said."""

    def __init__(self, what: str, output: str) -> None:
        super().__init__(f"{what} failed: {output}")
        self.what, self.output = what, output


@lru_cache(maxsize=1)
def unavailable() -> str | None:
    """Why this machine can have no such volume, for people; None where it can. Tries it out once."""
    if os.geteuid() != 0:
        return "only root can mount a file system: run as root"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"missing {', '.join(missing)}: apt-get install e2fsprogs mount"
    if not MEMORY.is_dir():
        return f"there is no {MEMORY} to hold a file system in memory"
    with tempfile.TemporaryDirectory() as folder:
        volume = Volume(Path(folder), size=16 * MEGABYTE)
        try:
            volume.mount_new()
        except VolumeFailed as error:
            return (
                f"no file system can be mounted from a file here (no loop device, or a container without it): {error}"
            )
        finally:
            volume.unmount(lazily=True)
    return None


class Volume:
    """A mounted file system below the run's folder.

    Args:
        folder: of the run.
        size: bytes.
        name: its folder below the run's is called so.
    """

    def __init__(self, folder: Path, *, size: int = 1024 * MEGABYTE, name: str = "volume") -> None:
        self.name, self.path, self.size = name, folder / name, size
        self._image: Path | None = None
        self._ballast = self.path / "ballast"

    @property
    def image(self) -> Path:
        """The file that holds it."""
        assert self._image is not None
        return self._image

    async def start(self) -> Self:
        """Makes and mounts it, empty.

        Raises:
            VolumeFailed: this machine cannot; `unavailable()` says why.
        """
        await asyncio.to_thread(self.mount_new)
        return self

    def mount_new(self) -> None:
        """What `start` does, for those without an event loop."""
        self.path.mkdir(exist_ok=True)
        descriptor, image = tempfile.mkstemp(prefix="millrace-volume-", dir=MEMORY)
        os.ftruncate(descriptor, self.size)
        os.close(descriptor)
        self._image = Path(image)
        # No block is reserved for root, or a server of root's would never see a full disk.
        try:
            _run("mkfs.ext4", "-q", "-F", "-m", "0", image)
            self._mount()
        except VolumeFailed:
            self.unmount(lazily=True)
            raise
        self.path.chmod(0o755)

    def flush(self) -> None:
        """Everything written so far survives whatever comes, fsynced or not."""
        _run("sync", "--file-system", str(self.path))

    def power_cut(self) -> None:
        """From now on nothing can be read or written, and what was not fsynced is gone. Kill whoever has files open."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_THE_LOG))
        finally:
            os.close(descriptor)

    async def restore(self) -> None:
        """The machine is up again: mounts what a power cut has left.

        Raises:
            VolumeFailed: somebody still has files open.
        """
        await self._unmounted()
        await asyncio.to_thread(self._mount)

    async def cut_power(self, *servers: Killable) -> None:
        """A whole power cut: returns when the servers are dead and the volume is there again; start them anew."""
        self.power_cut()
        for server in servers:
            await server.kill()
        await self.restore()

    def fill(self, leave: int = 0) -> None:
        """Takes all space but `leave` bytes, until `free`."""
        with self._ballast.open("ab") as ballast:
            while (room := self.free_bytes() - leave) > 0:
                try:
                    os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), room)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    # What is left holds the file system's own records only.
                    return

    def free(self) -> None:
        """Gives the space back that `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_frsize

    async def kill(self) -> None:
        await self.close()

    async def close(self) -> None:
        """Unmounts it and gives its memory back, even where somebody still has files open or the power was cut."""
        try:
            await self._unmounted(CLOSE_SECONDS)
        except VolumeFailed:
            self.unmount(lazily=True)
        self.unmount()

    def unmount(self, *, lazily: bool = False) -> None:
        """Unmounts at once, with `lazily` whoever has files open; the loop device goes with the mount.

        Raises:
            VolumeFailed: somebody has files open.
        """
        if self.path.is_mount():
            _run("umount", *(["-l"] if lazily else []), str(self.path))
        if self._image is not None:
            self._image.unlink(missing_ok=True)
            self._image = None

    def _mount(self) -> None:
        _run("mount", "-t", "ext4", "-o", "loop", str(self._image), str(self.path))

    async def _unmounted(self, seconds: float = BUSY_SECONDS) -> None:
        """Unmounts once the last of the dead has let go."""
        last = ""

        def tried() -> bool:
            nonlocal last
            if not self.path.is_mount():
                return True
            try:
                _run("umount", str(self.path))
            except VolumeFailed as error:
                last = error.output
                return False
            return True

        try:
            await until(tried, seconds, f"{self.path} is no longer in use")
        except TimeoutError as error:
            raise VolumeFailed(f"umount {self.path}", last) from error


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if done.returncode != 0:
        raise VolumeFailed(" ".join(command), (done.stderr or done.stdout).strip())
