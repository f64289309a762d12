"""The demo's last chapter holds for a good run, and its checks catch each fault."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from demo.index import ADDRESS, PARTS, Seen, letters_in, notification_checks, progress_checks
from millrace.contracts.notification import Notification
from millrace.contracts.progress import Progress

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SEEN = Seen([0, 20, 100], Counter(read=2), {20: 1.5})


def progress(**changes: Any) -> Progress:
    fields = {"id": "p", "version": 2, "status": "completed", "progress": 100, "created_at": NOW, "updated_at": NOW}
    return Progress.model_validate({**fields, **changes})


def notification(**changes: Any) -> Notification:
    fields = {"id": "n-1", "user_id": "reader", "title": "Ready", "read": False, "timestamp": NOW}
    return Notification.model_validate({**fields, **changes})


def holds(seen: Seen = SEEN, whole: Progress | None = None, parts: int = PARTS, **part: Any) -> bool:
    checks = progress_checks(seen, whole or progress(), [progress(**part) for _ in range(parts)])
    return all(check.holds for check in checks)


def test_a_good_run_holds() -> None:
    assert holds()
    assert all(check.holds for check in notification_checks([notification()], ["Ready"]))


@pytest.mark.parametrize(
    "fault",
    [
        {"whole": progress(status="processing", progress=99)},
        {"parts": PARTS - 1},
        {"status": "failed"},
        {"seen": SEEN._replace(percents=[0, 60, 40, 100])},
        {"seen": SEEN._replace(percents=[100])},
        {"seen": SEEN._replace(left={})},
    ],
)
def test_each_fault_of_the_progress_is_caught(fault: dict[str, Any]) -> None:
    assert not holds(**fault)


@pytest.mark.parametrize(
    ("inbox", "letters"),
    [
        ([], []),
        ([notification(read=True)], ["Ready"]),
        ([notification()], []),
        ([notification()], ["Ready", "Ready"]),
    ],
)
def test_each_fault_of_what_the_reader_got_is_caught(inbox: list[Notification], letters: list[str]) -> None:
    assert not all(check.holds for check in notification_checks(inbox, letters))


def test_only_letters_to_the_reader_count(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for number, recipient in enumerate((ADDRESS, "lee@example.org")):
        letter = EmailMessage()
        letter["To"], letter["Subject"] = recipient, f"Letter {number}"
        (tmp_path / "new" / str(number)).write_bytes(bytes(letter))
    assert letters_in(tmp_path) == ["Letter 0"]
