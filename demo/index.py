"""The last chapter: jobs tell how far they have got, as parts of one whole, and a reader is told when it is over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.checks import Check
from demo.sources import SourceFile
from millrace import Millrace
from millrace.contracts.notification import Notification
from millrace.contracts.progress import Progress, ProgressStatus

WHOLE = "library-index"
PARTS = 4
PART_FILES = 60
STAGES = {"read": 3, "count": 1}
READER = "reader"
ADDRESS = "reader@example.org"
LOOK = 0.1
PATIENCE = 60.0


class Seen(NamedTuple):
    """What was seen of the whole while it moved.

    Attributes:
        left: seconds left, as they were told when a percent was first seen.
    """

    percents: list[float]
    stages: Counter[str]
    left: dict[float, float]


async def index(app: Millrace, files: Sequence[SourceFile], console: Console, mail: Path) -> list[Check]:
    """Plays the chapter.

    Args:
        mail: the maildir where the service's mail goes.
    """
    await app.progress.create(id=WHOLE, children={"mode": "mean", "expected": PARTS})
    parts = [list(files[n::PARTS])[:PART_FILES] for n in range(PARTS)]
    await app.jobs.enqueue_many(
        {"name": "library.index", "data": {"root": part[0].root, "paths": [file.path for file in part], "whole": WHOLE}}
        for part in parts
    )
    seen = await _watch(app, console)
    whole, children = await app.progress.get(WHOLE), await app.progress.list(parent_id=WHOLE)
    await app.notifications.set_contacts(READER, {"email": ADDRESS})
    told = await app.notifications.send(
        user_id=READER,
        type="success",
        title="The index is ready",
        message=f"{PARTS} parts of the library were read.",
        category="library",
        channels=["in-app", "email"],
    )
    inbox = await _delivered(app, told.id)
    letters = await asyncio.to_thread(letters_in, mail)
    console.print(f"Inbox of {READER}: {[each.title for each in inbox]}; mail: {letters}", markup=False, soft_wrap=True)
    return progress_checks(seen, whole, children) + notification_checks(inbox, letters)


def progress_checks(seen: Seen, whole: Progress | None, parts: Sequence[Progress]) -> list[Check]:
    """What must be true of the whole and its parts."""
    ended = whole is not None and whole.status is ProgressStatus.COMPLETED and whole.progress == 100
    return [
        Check(
            f"{PARTS} jobs told their stages and made up one whole, which ended with them",
            ended and len(parts) == PARTS and all(part.status is ProgressStatus.COMPLETED for part in parts),
        ),
        Check(
            "the whole was seen to move, never backwards, with a time left",
            bool(seen.left) and len(set(seen.percents)) > 2 and seen.percents == sorted(seen.percents),
        ),
    ]


def notification_checks(inbox: Sequence[Notification], letters: Sequence[str]) -> list[Check]:
    """What must be true of what the reader was told."""
    return [
        Check("the reader's inbox has one unread notification", [each.read for each in inbox] == [False]),
        Check("and a mail with the same title has arrived once", list(letters) == [each.title for each in inbox]),
    ]


def letters_in(mail: Path) -> list[str]:
    """The subjects of the mails in a maildir that are to the reader."""
    found = [message_from_bytes(file.read_bytes(), policy=default) for file in sorted((mail / "new").glob("*"))]
    return [str(letter["Subject"]) for letter in found if ADDRESS in str(letter["To"])]


async def _watch(app: Millrace, console: Console) -> Seen:
    """Shows the whole and its parts until the whole has ended."""
    seen = Seen([], Counter(), {})
    shown = console.is_terminal
    async with asyncio.timeout(PATIENCE):
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                whole, parts = await app.progress.get(WHOLE), await app.progress.list(parent_id=WHOLE)
                assert whole is not None
                seen.percents.append(whole.progress)
                seen.stages.update(part.stage for part in parts if part.stage is not None)
                if told := [each.eta for each in (whole, *parts) if each.eta is not None]:
                    seen.left.setdefault(whole.progress, max(told))
                if shown:
                    live.update(_table(whole, parts), refresh=True)
                if whole.status not in (ProgressStatus.PENDING, ProgressStatus.PROCESSING):
                    break
                await asyncio.sleep(LOOK)
    moments = ", ".join(_moment(percent, seen.left.get(percent)) for percent in dict.fromkeys(seen.percents))
    console.print(f"Index of {PARTS} parts, stages {', '.join(sorted(seen.stages))}: {moments}", soft_wrap=True)
    return seen


def _moment(percent: float, left: float | None) -> str:
    return f"{percent:.0f} %" if left is None else f"{percent:.0f} % ({left:.1f} s left)"


def _table(whole: Progress, parts: Sequence[Progress]) -> Table:
    table = Table("", "stage", "done", "left")
    for name, each in (("whole", whole), *((f"part {n}", part) for n, part in enumerate(parts, 1))):
        left = "" if each.eta is None else f"{each.eta:.1f} s"
        table.add_row(name, each.stage or "", f"{each.progress:.0f} %", left)
    return table


async def _delivered(app: Millrace, notification_id: str) -> list[Notification]:
    """The reader's inbox, once nothing of the notification is under way any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await app.notifications.get(notification_id)
            if found is not None and all(each.status not in ("queued", "deferred") for each in found.deliveries):
                return await app.notifications.list(READER)
            await asyncio.sleep(LOOK)
