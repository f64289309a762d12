"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from millrace.cli.processes import end_with_parent

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
    "--no-first-run", "--no-proxy-server", "--hide-scrollbars", "--remote-debugging-port=0", "--lang=en-GB",
)  # fmt: skip
DEADLINE = 60.0
POLL_SECONDS = 0.05


class BrowserMissing(Exception):
    """Raised where there is no browser; the text says how to get one."""


def found() -> str:
    """Where the browser is.

    Raises:
        BrowserMissing: nowhere.
    """
    for name in NAMES:
        if path := shutil.which(name):
            return path
    names = ", ".join(NAMES)
    raise BrowserMissing(
        f"there is no Chromium: run scripts/browser.sh as root, or put one on PATH by one of the names {names}"
    )


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol."""
        number = next(self._numbers)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = json.loads(await self._connection.recv())
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result

    async def go(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def find(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = DEADLINE) -> Any:
        """The value of an expression as soon as it is true."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not (value := await self.find(expression)):
            assert loop.time() < deadline, (
                f"never true: {expression}; page: {await self.find('document.body.innerText')}"
            )
            await asyncio.sleep(POLL_SECONDS)
        return value

    async def press(self, key: str) -> None:
        """Presses one key, as a keyboard does."""
        text = {"Enter": "\r"}.get(key, "")
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, text=text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    async def look(self, scheme: str, width: int = 1_100, height: int = 720) -> bytes:
        """A picture in PNG, in a colour scheme, `light` or `dark`."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=features)
        picture = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(picture["data"])


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Page]:
    """An empty tab of a browser of its own, whose profile is in the folder.

    Raises:
        BrowserMissing: there is none.
    """
    process = await asyncio.create_subprocess_exec(
        found(), *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        preexec_fn=end_with_parent(),
    )  # fmt: skip
    try:
        port = await _port(process, folder / "DevToolsActivePort")
        async with connect(f"ws://127.0.0.1:{port[0]}{port[1]}", proxy=None, max_size=None) as browser:
            page = Page(browser)
            target = (await page.call("Target.createTarget", url="about:blank"))["targetId"]
        address = f"ws://127.0.0.1:{port[0]}/devtools/page/{target}"
        async with connect(address, proxy=None, max_size=None) as tab:
            page = Page(tab)
            await page.call("Page.enable")
            yield page
    finally:
        os.killpg(process.pid, 9)
        await process.wait()


async def _port(process: asyncio.subprocess.Process, file: Path) -> list[str]:
    """The port and the path where the browser listens, which it writes into a file."""
    async with asyncio.timeout(DEADLINE):
        while len(lines := _lines(file)) != 2:
            assert process.returncode is None, "the browser ended"
            await asyncio.sleep(POLL_SECONDS)
    return lines


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
