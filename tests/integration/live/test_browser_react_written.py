"""What is written for React works as it is written, in a real browser: the documentation, and what was asked for."""

from __future__ import annotations

import json

import pytest

from tests.e2e.test_docs import ADDRESS, blocks
from tests.support.browser import Page
from tests.support.react import from_jsx
from tests.support.react_page import Place, application, html, imports
from tests.support.running import until

BLOCKS = dict(blocks("react.md"))
SEED_PROGRESS = """
// React component
import { useProgress } from '@modules/progress'

function FileUpload({ fileId }) {
  const { progress, stage, status } = useProgress(fileId)

  return (
    <div>
      <ProgressBar value={progress} />
      <p>Status: {status}</p>
      <p>Stage: {stage}</p>
    </div>
  )
}
"""
SEED_NOTIFICATIONS = """
import { useNotifications, NotificationList } from '@modules/notifications'

function App() {
  return (
    <NotificationList />
  )
}
"""
SEED_HOOK = """
// Custom hook
function useNotifications() {
  const [notifications, setNotifications] = useState<Notification[]>([])

  useEffect(() => {
    const unsubscribe = notificationService.subscribe(
      userId,
      (notification) => {
        setNotifications(prev => [notification, ...prev])
      }
    )

    return unsubscribe
  }, [userId])

  return { notifications }
}
"""
SEED_PAGE = """
import { createElement as h } from "react";
import { createRoot } from "react-dom/client";
import { FileUpload } from "upload";
import { App } from "app";
import { useTold } from "hook";

window.ProgressBar = ({ value }) => h("progress", { value, max: 100 });
const Told = () => h("output", null, useTold().notifications.map(({ title }) => title).join());
const page = h("main", null, h(FileUpload, { fileId: "file-1" }), h(App), h(Told));
createRoot(document.getElementById("root")).render(page);
"""


@pytest.mark.parametrize("version", ["18", "19"])
async def test_the_page_of_the_documentation_shows_work_and_notifications(
    place: Place, page: Page, version: str
) -> None:
    shown = BLOCKS["page.html"]
    named = json.dumps({"react-files": "/react-files.js"})[1:-1]
    shown = shown.replace('"imports": { ', f'"imports": {{ {named}, ')
    async with application(place, page, version, shown) as origin:
        await place.send("Before", message="It was there.")
        await page.go(origin)
        await page.until("document.querySelector('li')?.textContent.includes('Before')")
        # The service refuses addresses that run code, and the list would not show one either.
        harmful = f"import('{place.service.url}/web/links.js').then((it) => it.safeAddress('javascript:alert(1)'))"
        assert await page.find(harmful) is None
        await place.told("/progress", id="file-1", stages=["upload", "index"])
        await place.told("/progress/file-1", "PATCH", progress=50, stage="upload")
        await page.until("document.querySelector('progress').value === 25")
        await page.until("document.querySelector('section p').textContent === 'processing upload'")
        await place.send("Ready", type="success", action_url="/files/1", action_label="Show it")
        await page.until("document.querySelectorAll('li').length === 2")
        assert await page.find("document.querySelector('li a').href.endsWith('/files/1')")
        await page.find("document.querySelector('li button').click()")
        await page.until("document.querySelector('.count').textContent === '1'")
        assert await page.find("document.querySelector('li').hasAttribute('data-read')")
        await page.find("document.querySelector('button.all').click()")
        await page.until("document.querySelector('.count').textContent === '0'")
        await until(place.has_read_all)


async def test_the_components_of_the_documentation_and_of_the_seeds_run_as_they_are_written(
    place: Place, page: Page
) -> None:
    own = {
        "millrace": BLOCKS["millrace.js"],
        "upload": from_jsx(SEED_PROGRESS + "export { FileUpload }"),
        "app": from_jsx(SEED_NOTIFICATIONS + "export { App }"),
        "hook": from_jsx(
            "import { useEffect, useState } from 'react'\n"
            f"import {{ NotificationService }} from '{ADDRESS}/web/client.js'\n"
            f"const userId = 'ann'; const notificationService = new NotificationService({{ base: \"{ADDRESS}\" }})\n"
            f"{SEED_HOOK}\nexport {{ useNotifications as useTold }}"
        ),
        "documented": from_jsx(BLOCKS["upload.jsx"]).replace("./millrace.js", "millrace"),
        "documented-page": (
            'import { createElement as h } from "react"; import { createRoot } from "react-dom/client";'
            'import { App } from "documented"; createRoot(document.getElementById("root")).render(h(App));'
        ),
    }
    named = imports("19", *own) | dict.fromkeys(("@modules/progress", "@modules/notifications"), "/millrace.js")
    async with application(place, page, "19", html(SEED_PAGE, named), **own) as origin:
        await place.told("/progress", id="file-1", stages=["upload", "index"])
        await page.go(origin)
        await page.until("document.body?.innerText.includes('Status: pending')")
        await place.told("/progress/file-1", "PATCH", progress=40, stage="index")
        await page.until("document.body?.innerText.includes('Stage: index')")
        assert await page.find("document.querySelector('progress').value") == 70
        for n in range(60):
            await place.send(f"n-{n}")
            if await page.find("document.querySelector('output').textContent !== ''"):
                break
        await page.until(f"document.querySelectorAll('li').length === {n + 1}")
        await page.until(f"document.querySelector('output').textContent.startsWith('n-{n}')")
    async with application(place, page, "19", html('import "documented-page";', named), **own) as origin:
        await page.go(origin)
        await page.until("document.querySelector('ol')?.textContent === 'upload: completedindex: processing'")
        await page.until(f"[...document.querySelectorAll('button')].some((it) => it.textContent === '{n + 1} unread')")
        await page.find("document.querySelector('button').click()")
        await page.until("document.querySelector('.count').textContent === '0'")
