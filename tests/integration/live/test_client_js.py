"""The typed client for pages: its types name what the service has, and it works in a browser on the service."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from infra.documents import DOCS
from tests.support.browser import Page, browsing
from tests.support.react import type_errors
from tests.support.running import Running, running

WEB = Path(__file__).parents[3] / "web"
TYPES = (WEB / "client.d.ts").read_text()
SCHEMAS: dict[str, Any] = {
    **json.loads((DOCS / "openapi.json").read_text())["components"]["schemas"],
    "ProgressOptions": json.loads((DOCS / "schemas" / "progress.create.v1.json").read_text()),
}
# What was asked for, by interface.
WANTED = {
    "Progress": "id status progress stage stages error metadata createdAt updatedAt completedAt",
    "ProgressStage": "name status progress startedAt completedAt",
    "ProgressOptions": "id stages metadata userId",
    "Notification": ("id type title message timestamp read userId category actionUrl actionLabel metadata channels"),
    "NotificationPreferences": "channels categories quietHours",
    "QuietHours": "start end",
}
METHODS = {
    "ProgressTracker": "create update complete fail get subscribe",
    "NotificationService": "send sendBulk markAsRead getUserNotifications subscribe setPreferences",
}
USE = """
import { NotificationService, ProgressTracker, type Notification, type Progress } from "./client.js";
const tracker = new ProgressTracker({ tenant: "acme" });
const stop: () => void = tracker.subscribe("1", (progress: Progress) => void progress.createdAt.getTime());
const told: Promise<Notification[]> = new NotificationService().getUserNotifications("kim", { unreadOnly: true });
void stop; void told;
"""


def fields(interface: str) -> dict[str, bool]:
    """Which fields an interface has, and whether they are always there."""
    [body] = re.findall(rf"^export interface {interface} \{{$(.*?)^\}}$", TYPES, re.MULTILINE | re.DOTALL)
    return {name: not optional for name, optional in re.findall(r"^  (\w+)(\??):", body, re.MULTILINE)}


@pytest.mark.parametrize(("interface", "wanted"), WANTED.items())
def test_an_interface_has_what_was_asked_for_and_the_service_has_it_too(interface: str, wanted: str) -> None:
    declared = fields(interface)
    assert set(wanted.split()) <= set(declared)
    known = SCHEMAS[interface]["properties"]
    for name in declared:
        assert re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name) in known, name


@pytest.mark.parametrize(("name", "methods"), METHODS.items())
def test_a_class_is_declared_as_it_is_written(name: str, methods: str) -> None:
    [declared] = re.findall(rf"^export class {name} \{{$(.*?)^\}}$", TYPES, re.MULTILINE | re.DOTALL)
    code = (WEB / "client.js").read_text()
    [written] = re.findall(rf"^export class {name} extends Client \{{$(.*?)^\}}$", code, re.MULTILINE | re.DOTALL)
    found = [
        set(re.findall(r"^  (?:async )?(\w+)\(", text, re.MULTILINE)) - {"constructor"} for text in (declared, written)
    ]
    assert found[0] == found[1]
    assert set(methods.split()) <= found[0]


def test_the_types_hold_for_a_strict_compiler(tmp_path: Path) -> None:
    shutil.copy(WEB / "client.d.ts", tmp_path)
    (tmp_path / "use.ts").write_text(USE)
    assert type_errors(tmp_path) == ""


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as service:
        yield service


@pytest.fixture
async def page(tmp_path: Path, service: Running) -> AsyncIterator[Page]:
    async with browsing(tmp_path) as page:
        await page.go(f"{service.url}/web/?tenant=t-{uuid.uuid4().hex[:12]}")
        await page.until("document.readyState === 'complete'")
        await page.find(
            "import('/web/client.js').then((module) => { Object.assign(window, module);"
            f" window.options = {{ tenant: 't-{uuid.uuid4().hex[:12]}' }}; }})"
        )
        yield page


async def test_progress_is_created_moved_followed_and_failed_from_a_page(page: Page) -> None:
    made = await page.find("""(async () => {
      window.tracker = new ProgressTracker(options);
      window.shown = [];
      const made = await tracker.create({ id: "file-1", stages: ["upload", "index"], metadata: { some_key: 1 } });
      window.stop = tracker.subscribe("file-1", (progress) => shown.push(progress));
      return [made.status, made.stages[0].name, made.createdAt instanceof Date, made.metadata];
    })()""")
    assert made == ["pending", "upload", True, {"some_key": 1}]
    await page.until("shown.length > 0")
    await page.find("tracker.update('file-1', 50, 'upload')")
    await page.until("shown.at(-1).stageProgress === 50 && shown.at(-1).status === 'processing'")
    failed = await page.find("tracker.fail('file-1', new TypeError('no disk')).then((it) => [it.status, it.error])")
    assert failed == ["failed", {"message": "no disk"}]
    await page.until("shown.at(-1).status === 'failed'")
    assert await page.find("tracker.get('file-1').then((it) => it.updatedAt.getTime() >= it.createdAt.getTime())")
    assert await page.find("tracker.get('nobody').catch((error) => [error.name, error.status, error.code])") == [
        "MillraceError", 404, "not-found",
    ]  # fmt: skip
    await page.find("stop()")


async def test_notifications_are_sent_listed_told_and_read_from_a_page(page: Page) -> None:
    await page.find("""(async () => {
      window.service = new NotificationService(options);
      window.told = [];
      window.stop = service.subscribe("kim", (notification) => told.push(notification));
      await service.setPreferences("kim", { channels: ["in-app"], quietHours: { start: "22:00", end: "07:00" } });
    })()""")

    async def send(title: str) -> None:
        wish = {"type": "success", "title": title, "userId": "kim", "actionUrl": "/files/7", "metadata": {"aB": 1}}
        await page.find(f"service.send({json.dumps(wish)})")

    # Who follows is told what comes from now on, so the first ones may come before it listens.
    for attempt in range(60):
        await send(f"n-{attempt}")
        if await page.find("told.length > 0"):
            break
    await send("last")
    await page.until("told.at(-1)?.title === 'last'")
    newest = await page.find("[told.at(-1).actionUrl, told.at(-1).read, told.at(-1).timestamp instanceof Date]")
    assert newest == ["/files/7", False, True]
    ids = await page.find('service.sendBulk([{ userId: "kim", title: "a" }, { userId: "kim", title: "b" }])')
    assert len(set(ids)) == 2
    await page.until("service.unreadCount('kim').then((count) => count >= 3)")
    await page.find(f"service.markAsRead('{ids[0]}', 'kim')")
    await page.until("service.getUserNotifications('kim', { unreadOnly: true }).then((it) => it[0].title === 'b')")
    [shown] = await page.find("service.getUserNotifications('kim', { limit: 1, type: 'info' })")
    assert (shown["title"], shown["userId"]) == ("b", "kim")
    await page.find("service.markAllAsRead('kim')")
    await page.until("service.unreadCount('kim').then((count) => count === 0)")
    refused = await page.find(
        "service.sendBulk([{ userId: '', title: 'x' }]).catch((error) => [error.name, error.status])"
    )
    assert refused == ["MillraceError", 422]
    await page.find("stop()")
