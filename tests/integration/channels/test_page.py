"""What the page about channels shows works."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.channels.webhook import payload, signature_headers, signer
from adapters.contracts.channels import a_delivery
from domain.channels import Sent
from infra.channel_providers import BUILDERS
from infra.documents import DOCS
from infra.settings import Settings, load_settings
from infra.settings_notifications import Channel
from infra.settings_vendors import VENDORS
from tests.support.vendors.receiver import SECRET

PAGE = (DOCS / "channels.md").read_text()
BLOCKS = re.findall(r"<!-- ([a-z]+) -->\n```\w+\n(.*?)\n```", PAGE, re.DOTALL)
VARIABLES = {"SENDGRID_API_KEY": "k", "SMTP_PASSWORD": "p", "TWILIO_AUTH_TOKEN": "t", "WEBHOOK_SECRET": SECRET}


def blocks(mark: str) -> list[str]:
    return [text for each, text in BLOCKS if each == mark]


def test_every_snippet_is_marked_with_what_to_do_with_it() -> None:
    assert len(BLOCKS) == PAGE.count("```") / 2
    assert {mark for mark, _ in BLOCKS} == {"settings", "receiver", "adapter", "shell", "commands"}


@pytest.mark.parametrize("text", blocks("settings"))
def test_the_settings_load(text: str, tmp_path: Path) -> None:
    path = tmp_path / "modules.yaml"
    path.write_text(text)
    settings = load_settings(path, environ=VARIABLES)
    assert settings.modules.notifications.providers != Settings().modules.notifications.providers


def program(mark: str, folder: Path, **names: object) -> dict[str, Any]:
    """What the one snippet of that mark defines."""
    (text,) = blocks(mark)
    path = folder / "snippet.py"
    path.write_text(text)
    return dict(runpy.run_path(str(path), init_globals=names))


def test_the_receiver_takes_a_delivery_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    scope = program("receiver", tmp_path, SECRET=SECRET)
    body = payload(a_delivery())
    headers = signature_headers([signer(SECRET)], "d-1", datetime.now(UTC), body)
    for _ in range(2):
        scope["receive"](body, headers)
    assert capsys.readouterr().out == f"{a_delivery().title}\n"


def test_the_adapter_sends(tmp_path: Path) -> None:
    pigeon = program("adapter", tmp_path)["Pigeon"]({"loft": "north"})
    assert asyncio.run(pigeon.send(a_delivery())) == Sent("pigeon", "north/n-1-email-0")


def test_the_command_makes_a_secret_that_is_accepted() -> None:
    (text,) = blocks("shell")
    made = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True, timeout=30)
    assert signer(made.stdout.strip())


@pytest.mark.parametrize("line", [line for text in blocks("commands") for line in text.splitlines()])
def test_every_command_exists_with_its_options(line: str) -> None:
    _, name, *words = shlex.split(line, comments=True)
    command = [sys.executable, "-m", "millrace.cli.main", name, "--help"]
    wide = {**os.environ, "COLUMNS": "200"}
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=wide)
    for option in (word for word in words if word.startswith("--")):
        assert option in made.stdout


def test_every_provider_is_in_the_table_with_its_channels() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \|", PAGE, re.MULTILINE)
    told = {(name, channel.strip()) for name, channels in rows for channel in channels.split(",")}
    real = {
        (name, channel)
        for channel in Channel.__args__  # type: ignore[attr-defined]
        if channel != "in-app"
        for name in VENDORS[f"notifications.channels.{channel}.provider"].supported
    }
    assert told == real
    assert {name for name, _ in told} == {*BUILDERS}
