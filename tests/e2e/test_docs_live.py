"""What `docs/live.md` shows works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from adapters.http.live_tickets import TicketWish
from infra.settings import load_settings
from millrace.contracts import feed
from tests.e2e.test_docs import blocks, run_in
from tests.support.running import running

BLOCKS = blocks("live.md")
SAID: dict[str, TypeAdapter[object]] = {
    "says live": feed.LIVE,  # type: ignore[dict-item]
    "says progress": feed.PROGRESS,  # type: ignore[dict-item]
    "says notifications": feed.NOTIFICATIONS,  # type: ignore[dict-item]
}


@pytest.mark.parametrize(("mark", "text"), [block for block in BLOCKS if block[0] != "python"])
def test_every_message_fits_its_contract(mark: str, text: str, tmp_path: Path) -> None:
    if mark == "told":
        assert feed.LiveMessage.model_validate(json.loads(text)).event
    elif mark == "POST /api/live/tickets":
        assert TicketWish.model_validate_json(text).user_id
    elif mark == "settings":
        path = tmp_path / "millrace.yaml"
        path.write_text(text)
        assert len(load_settings(path, environ={}).web_origins()) == 2
    else:
        SAID[mark].validate_json(text)


async def test_the_program_follows_what_happens(fresh_database_url: str, tmp_path: Path) -> None:
    program = next(text for mark, text in BLOCKS if mark == "python")
    assert program.count("ws://127.0.0.1:8000") == 1
    async with running(fresh_database_url) as service, service.client() as client:
        for n in range(3):
            body = {"event_type": "shop.sold", "payload": {"n": n}}
            (await client.post("/api/events", json=body)).raise_for_status()
        program = program.replace("ws://127.0.0.1:8000", service.url.replace("http", "ws"))
        check = 'assert seen == [{"n": 0}, {"n": 1}, {"n": 2}], seen'
        await run_in(tmp_path, "-c", f"{program}\n{check}\n")
