"""The data folder: one owner at a time, the version that wrote it, the socket's place, the bounded log."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from infra.embedded_errors import DataFolderInUse, DataFolderUnusable

LOG_LIMIT_BYTES = 10 * 1024 * 1024
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 16_384
SOCKET_NAME = ".s.PGSQL.5432.lock"
# a socket's path has 107 bytes on Linux and 103 elsewhere
SOCKET_PATH_BYTES = 103


class DataFolder:
    """The paths inside one data folder. No permission of a folder that exists is ever changed.

    Args:
        path: the folder; made (for its owner alone) when it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.cluster = self.path / "postgres"
        self.unfinished = self.path / "postgres.new"
        self.log = self.path / "postgres.log"
        self._record = self.path / "millrace.json"
        self._socket_record = self.path / "socket"
        self._lock: int | None = None
        self._log_start = 0

    def acquire(self) -> None:
        """Make the folder when needed and hold it until `release` or the death of this process.

        Raises:
            DataFolderInUse: another process, or another object of this one, holds it.
            DataFolderUnusable: it cannot be made or written.
        """
        if self._lock is not None:
            return
        try:
            # a system user that runs the server for root has to pass through, but need not read
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataFolderUnusable(self.path, error.strerror or str(error)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            raise DataFolderInUse(self.path, int(holder) if holder.isdigit() else None) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode("ascii"))
        self._lock = lock

    def release(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def recorded_major(self) -> int | None:
        """The PostgreSQL major version that wrote the data, None for a new folder.

        Raises:
            DataFolderUnusable: the record is damaged.
        """
        try:
            if self._record.exists():
                return int(json.loads(self._record.read_text(encoding="utf-8"))["postgres_major"])
            if self.cluster.exists():
                return int((self.cluster / "PG_VERSION").read_text(encoding="ascii"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"the version of its PostgreSQL cannot be read from {self._record} or {self.cluster} ({error})"
            raise DataFolderUnusable(self.path, reason) from error
        return None

    def record_major(self, major: int) -> None:
        """Write down durably which PostgreSQL major version the data belongs to."""
        if not self._record.exists():
            self._write(self._record, json.dumps({"postgres_major": major}) + "\n")

    def new_socket_folder(self) -> Path:
        """Make a short private folder for the server's socket; the one of an earlier run is removed."""
        self.remove_socket_folder()
        for place in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
            if not place or not _private_place(place):
                continue
            folder = Path(tempfile.mkdtemp(prefix="millrace-", dir=place))
            if len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES:
                self._write(self._socket_record, f"{folder}\n")
                return folder
            folder.rmdir()
        raise DataFolderUnusable(self.path, "no folder for the server's socket can be written: set XDG_RUNTIME_DIR")

    def remove_socket_folder(self) -> None:
        """Remove the recorded socket folder, where it is one that we made."""
        if not self._socket_record.exists():
            return
        folder = Path(self._socket_record.read_text(encoding="utf-8").strip())
        if folder.is_absolute() and folder.name.startswith("millrace-") and not folder.is_symlink():
            for file in folder.glob(".s.PGSQL.*"):
                with suppress(OSError):
                    file.unlink()
            with suppress(OSError):
                folder.rmdir()
        self._socket_record.unlink()

    def finish_cluster(self) -> None:
        """Put a complete new cluster in its place, all or nothing."""
        self.unfinished.rename(self.cluster)
        _sync(self.path)

    def discard_unfinished(self) -> None:
        """Remove what a start that was killed left of a new cluster."""
        if self.unfinished.exists():
            shutil.rmtree(self.unfinished)

    def bound_log(self) -> None:
        """Begin the server's log again when it has more than 10 MB; the old one stays as `postgres.log.1`."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            # copied and emptied, not renamed: a running server goes on appending to the same file
            shutil.copyfile(self.log, self.log.with_name("postgres.log.1"))
            os.truncate(self.log, 0)
            self._log_start = 0

    def mark_log(self) -> None:
        """Let `log_tail` begin here, so that it never tells of an earlier run."""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0

    def log_tail(self) -> tuple[str, ...]:
        """The last lines of the server's log since `mark_log`."""
        if not self.log.exists():
            return ()
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return tuple(line.strip() for line in lines[-LOG_TAIL_LINES:] if line.strip())

    def _write(self, file: Path, text: str) -> None:
        temporary = file.with_name(file.name + ".new")
        with temporary.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(file)
        _sync(self.path)


def _private_place(place: str) -> bool:
    # sudo may hand down another user's runtime folder: it vanishes when that user logs out
    try:
        status = os.stat(place)
    except OSError:
        return False
    return os.access(place, os.W_OK | os.X_OK) and (status.st_uid == os.geteuid() or bool(status.st_mode & 0o1000))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
