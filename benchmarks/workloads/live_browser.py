"""A real browser among the clients of a broadcast: how long a command takes until a page has its event.

The page reads the wall clock of the machine that the publisher has put into the message.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.chromium import BrowserMissing, Page, browsing, found

# On the feed of ours by what the components and the client of pages stand on; on the bare one by what there is.
OURS = """(async () => {
  const { Live, socketAddress } = await import("/web/live.js");
  const live = new Live({
    address: () => socketAddress("", "/ws/bench-browser", {}),
    opening: (after) => [{ action: "subscribe", pattern: "bench.#", after: after ?? "head" }],
    onMessage: (message) => {
      if (message.event === "caught-up") window.isReady = true;
      if (message.event === "bench.tick") note(message);
    },
  });
  live.open();
})()"""
BARE = """(() => {
  const socket = new WebSocket("ws://127.0.0.1:%d/ws");
  socket.onopen = () => (window.isReady = true);
  socket.onmessage = ({ data }) => note(JSON.parse(data));
})()"""
NOTE = """window.waits = [];
window.isReady = false;
window.note = ({ data }) => waits.push(performance.timeOrigin + performance.now() - data.data.at / 1e6);"""


def left_out() -> dict[str, str]:
    """What cannot be measured here, and why."""
    try:
        found()
    except BrowserMissing as reason:
        return {"browser": str(reason)}
    return {}


class Watching:
    """A page that is told of each message."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def all_told(self, count: int) -> list[float]:
        """Milliseconds from the command to the page, of so many messages since it was asked last."""
        await self._page.until(f"waits.length >= {count}")
        waits: list[Any] = await self._page.find(f"waits.splice(0, {count})")
        return [float(wait) for wait in waits]


@asynccontextmanager
async def watching(kind: str, port: int) -> AsyncIterator[Watching]:
    """A browser of its own whose page follows the messages of the server.

    Raises:
        BrowserMissing: there is none.
    """
    with tempfile.TemporaryDirectory(prefix="bench-browser-", ignore_cleanup_errors=True) as folder:
        async with browsing(Path(folder)) as page:
            if kind == "ours":
                await page.go(f"http://127.0.0.1:{port}/web/live.js")
                await page.until(f"location.port === '{port}' && document.readyState === 'complete'")
            await page.find(NOTE)
            await page.find(OURS if kind == "ours" else BARE % port)
            await page.until("isReady")
            yield Watching(page)
