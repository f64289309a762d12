"""Mail into a folder instead of out of the house: a maildir, which any mail program opens."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from adapters.channels.mail import BadAddress, compose, message_id, stable_id
from adapters.channels.provider import reason_of
from domain.channels import Delivery, Outcome, Rejected, Sent, Unavailable

# As the programs that read maildirs do.
LEFT_OVER_SECONDS = 36 * 3_600.0


class MailFile:
    """Appends each mail to a maildir. A delivery that is tried again finds its own file there and adds nothing.

    Args:
        folder: the maildir; made when it is missing.
        from_address: `Name <address>` or an address.
        now: the time for the Date header.
    """

    name = "file"

    def __init__(self, folder: Path, from_address: str, now: Callable[[], datetime]) -> None:
        self._folder, self._from, self._now = folder, from_address, now

    async def send(self, delivery: Delivery) -> Outcome:
        try:
            mail = compose(delivery, self._from, self._now())
        except BadAddress as error:
            return Rejected(self.name, str(error))
        # Programs that read a maildir expect the line ends of the system, not those of the network.
        content = mail.as_bytes(policy=mail.policy.clone(linesep="\n"))
        try:
            await asyncio.to_thread(self._deliver, stable_id(delivery), content)
        except OSError as error:
            return Unavailable(self.name, reason_of(f"the mail folder cannot be written: {error.strerror}", ()))
        return Sent(self.name, message_id(delivery, self._from))

    async def check(self) -> str | None:
        """Whether the folder can be written."""
        try:
            await asyncio.to_thread(self._probe)
        except OSError as error:
            return f"the mail folder {self._folder} cannot be written: {error.strerror}"
        return None

    async def close(self) -> None:
        """Nothing is open."""

    def _make(self) -> None:
        for part in ("tmp", "new", "cur"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        # What a crash has left behind; a mail is written within seconds.
        for path in (self._folder / "tmp").iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - LEFT_OVER_SECONDS:
                    path.unlink()

    def _probe(self) -> None:
        self._make()
        probe = self._folder / "tmp" / f"probe-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()

    def _deliver(self, name: str, content: bytes) -> None:
        self._make()
        # A mail program that has shown the mail moves it to `cur` and appends flags to its name.
        if any((self._folder / "cur").glob(f"{name}*")):
            return
        temporary = self._folder / "tmp" / f"{name}-{uuid.uuid4().hex}"
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never replaces what is there.
            os.link(temporary, self._folder / "new" / name)
        except FileExistsError:
            return
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(self._folder / "new", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
