"""The wall clock of one process, stepped while it runs; its monotonic clock goes on as it should."""

from __future__ import annotations

import os
from pathlib import Path

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1")
SHARED_MEMORY = Path("/dev/shm")


def _library() -> Path | None:
    found = (path for pattern in LIBRARIES for path in sorted(Path("/").glob(pattern.lstrip("/"))))
    return next(found, None)


def unavailable() -> str | None:
    """Why no clock can be stepped here, for people; None where it can."""
    return None if _library() else "libfaketime is missing: apt-get install libfaketime"


class Clock:
    """Give a process `environment`, then `step` what it takes the time to be.

    Args:
        folder: of the run; the offset is kept in it.
    """

    def __init__(self, folder: Path, name: str = "clock") -> None:
        library = _library()
        if library is None:
            raise FileNotFoundError(unavailable())
        self.offset = 0.0
        self._file = folder / f"{name}.offset"
        self._library = library
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """What the process must be started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # both names, as the library's versions differ
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            # looks at the file each time it is asked, so that a step holds at once
            "FAKETIME_NO_CACHE": "1",
        }

    def step(self, seconds: float) -> None:
        """Moves the process's wall clock, forwards or (negative) backwards, from where it is now."""
        self.offset += seconds
        self._write()

    def close(self) -> None:
        """Removes what the library leaves in shared memory for each process that is killed."""
        for file in SHARED_MEMORY.glob("*faketime_s*_[0-9]*"):
            pid = file.name.rpartition("_")[2]
            if not Path("/proc", pid).exists():
                file.unlink(missing_ok=True)

    def _write(self) -> None:
        # Renamed into place: the process may read at any moment.
        new = self._file.with_suffix(".new")
        new.write_text(f"{self.offset:+.3f}\n", encoding="ascii")
        os.replace(new, self._file)
