"""The folder of mails: what a crash has left behind goes, what is being written stays."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from adapters.channels.mail_file import LEFT_OVER_SECONDS, MailFile
from adapters.contracts.channels import a_delivery
from domain.channels import Sent


async def test_what_a_crash_has_left_in_tmp_goes_with_the_next_mail(tmp_path: Path) -> None:
    folder = MailFile(tmp_path, "noreply@example.com", lambda: datetime.now(UTC))
    assert isinstance(await folder.send(a_delivery()), Sent)
    for name, age in (("old", LEFT_OVER_SECONDS + 60), ("young", 60.0)):
        path = tmp_path / "tmp" / name
        path.write_text("half a mail")
        os.utime(path, (time.time() - age,) * 2)
    assert isinstance(await folder.send(a_delivery(delivery_id="n-1-email-1")), Sent)
    assert os.listdir(tmp_path / "tmp") == ["young"]
    assert len(os.listdir(tmp_path / "new")) == 2


async def test_a_mail_to_a_name_in_other_letters_is_written_as_it_is(tmp_path: Path) -> None:
    folder = MailFile(tmp_path, "noreply@example.com", lambda: datetime.now(UTC))
    assert isinstance(await folder.send(a_delivery(address="jürgen@beispiel.example")), Sent)
    [name] = os.listdir(tmp_path / "new")
    assert "To: jürgen@beispiel.example\n".encode() in (tmp_path / "new" / name).read_bytes()
