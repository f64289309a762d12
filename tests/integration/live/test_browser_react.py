"""The bindings for React in a real browser, with React itself, on the real service and on a page of another origin."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_docs import ADDRESS
from tests.support.browser import Page
from tests.support.react import type_errors
from tests.support.react_page import Place, application, html, imports

WEB = Path(__file__).parents[3] / "web"
VERSIONS = ["18", "19"]
# Sockets are seen and cut as a network would do it; components come and go by `show`.
BENCH = """
import React from "react";
import { createRoot } from "react-dom/client";
import { bindings } from "%s/web/react.js";

window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    sockets.push(this);
  }
};
window.open_ = (path) => sockets.filter((one) => one.readyState <= 1 && one.url.includes(path)).length;
const h = React.createElement;
const { MillraceProvider, NotificationList, useNotifications, useProgress } = bindings(React, { base: "%s" });
window.seen = {};
window.inbox = {};
window.faults = [];

function Bar({ id, name }) {
  const view = useProgress(id);
  (seen[name] ??= []).push(view);
  return h("progress", { value: view.progress, max: 100 });
}
function Bell({ name }) {
  inbox[name] = useNotifications();
  return h("b", { className: "bell" }, inbox[name].unreadCount);
}
class Caught extends React.Component {
  state = { error: null };
  static getDerivedStateFromError = (error) => ({ error });
  render = () => (this.state.error ? h("i", null, this.state.error.message) : this.props.children);
}
const root = createRoot(document.getElementById("root"));
window.show = (given, ...parts) => {
  const made = parts.map(([kind, props], key) => h({ Bar, Bell, NotificationList }[kind], { key, ...props }));
  root.render(h(React.StrictMode, null, h(Caught, null, h(MillraceProvider, given, made))));
};
window.isReady = true;
"""


@asynccontextmanager
async def bench(place: Place, page: Page, version: str) -> AsyncIterator[None]:
    shown = html(BENCH.replace("%s", ADDRESS), imports(version))
    async with application(place, page, version, shown) as origin:
        await page.go(origin)
        await page.until("window.isReady")
        yield


async def show(page: Page, *parts: tuple[str, dict[str, Any]], **given: Any) -> None:
    await page.find(f"show({json.dumps({'userId': 'ann', **given})}, ...{json.dumps(parts)})")


@pytest.mark.parametrize("version", VERSIONS)
async def test_components_share_one_connection_and_leave_none_behind(place: Place, page: Page, version: str) -> None:
    async with bench(place, page, version):
        await place.told("/progress", id="one", stages=["a"])
        await place.told("/progress", id="two")
        bars = [("Bar", {"id": id, "name": name}) for id, name in (("one", "x"), ("one", "y"), ("two", "z"))]
        await show(page, *bars, ("Bell", {"name": "x"}), ("NotificationList", {}))
        await page.until("['x', 'y', 'z'].every((name) => seen[name].at(-1).exists)")
        await page.until("inbox.x.connection === 'live' && !inbox.x.loading")
        # Mounted twice by the strict mode, five components of two things: still one of each.
        assert await page.find("sockets.length") == 2
        assert await page.find("seen.x.at(-1).stages") == [
            {"name": "a", "weight": 1, "status": "pending", "progress": 0}
        ]
        await place.told("/progress/two", "PATCH", progress=30)
        await page.until("seen.z.at(-1).progress === 30")
        assert await page.find("seen.x.at(-1).progress") == 0
        # Another one is followed over the same connection, what was there stays.
        await show(page, *bars[1:], ("Bar", {"id": "three", "name": "w"}))
        await page.until("seen.w.at(-1).loading === false")
        assert await page.find("[seen.w.at(-1).exists, seen.w.at(-1).id, seen.w.at(-1).status]") == [
            False,
            "three",
            "pending",
        ]
        await place.told("/progress", id="three")
        await page.until("seen.w.at(-1).exists")
        await page.until("open_('/ws/notifications') === 0")
        assert await page.find("open_('/ws/progress')") == 1
        await show(page)
        await page.until("open_('/ws/') === 0")
        assert await page.find("sockets.length") == 2


async def test_what_happened_while_the_connection_was_lost_is_shown_once_and_in_order(place: Place, page: Page) -> None:
    async with bench(place, page, "19"):
        await place.told("/progress", id="one", stages=["a", "b"])
        await place.told("/progress", id="two")
        await show(
            page, ("Bar", {"id": "one", "name": "x"}), ("Bar", {"id": "two", "name": "y"}), ("Bell", {"name": "x"})
        )
        await page.until("seen.x.at(-1).exists && seen.y.at(-1).exists && inbox.x.connection === 'live'")
        for n in range(3):
            await page.find("sockets.forEach((one) => one.close())")
            await place.send(f"n {n}")
            await place.told("/progress/one", "PATCH", progress=20 * n + 20, stage="a")
            await place.told("/progress/two", "PATCH", progress=20 * n + 20)
            await page.until(f"inbox.x.unreadCount === {n + 1} && seen.x.at(-1).stageProgress === {20 * n + 20}")
            await page.until(f"seen.y.at(-1).progress === {20 * n + 20}")
        assert await page.find("inbox.x.notifications.map(({ title }) => title)") == ["n 2", "n 1", "n 0"]
        values = await page.find("seen.x.map(({ progress }) => progress)")
        assert values == sorted(values)
        assert await page.find("seen.x.some(({ connection }) => connection === 'waiting')")
        # What is known stays while nobody is connected.
        assert await page.find("seen.x.slice(seen.x.findIndex((one) => one.exists)).every((one) => one.exists)")
        await place.told("/progress/one/fail", error="no disk")
        await page.until("seen.x.at(-1).status === 'failed'")
        assert await page.find("seen.x.at(-1).error") == {"message": "no disk"}
        assert await page.find("seen.x.at(-1).stages.map(({ status }) => status)") == ["failed", "pending"]


async def test_whose_page_it_is_is_said_by_the_provider_and_refusals_are_errors(place: Place, page: Page) -> None:
    async with bench(place, page, "19"):
        await place.send("For kim", "kim")
        await show(page, ("Bell", {"name": "x"}), userId="kim")
        await page.until("inbox.x.notifications[0]?.title === 'For kim'")
        assert await page.find("inbox.x.notifications[0].timestamp instanceof Date")
        kims = await page.find("inbox.x.notifications[0].id")
        await show(page, ("Bell", {"name": "x"}), userId="ann")
        await page.until("inbox.x.connection === 'live' && inbox.x.notifications.length === 0 && !inbox.x.loading")
        refused = f"inbox.x.markAsRead('{kims}').catch((error) => [error.name, error.status > 400])"
        assert await page.find(refused) == ["MillraceError", True]
        await page.find("sockets.forEach((one) => one.close())")
        await page.until("inbox.x.connection === 'waiting'")
        lost = "inbox.x.markAllAsRead().catch((error) => [error.name, error.status])"
        assert await page.find(lost) == ["MillraceError", 0]
        await page.find("show({}, ['Bell', { name: 'x' }])")
        await page.until("document.querySelector('i')?.textContent.includes('MillraceProvider a userId')")


async def test_more_than_a_connection_may_follow_take_another_one(place: Place, page: Page) -> None:
    async with bench(place, page, "19"):
        await place.told("/progress", id="n-64")
        await show(page, *(("Bar", {"id": f"n-{n}", "name": f"n-{n}"}) for n in range(65)))
        await page.until(
            "Object.values(seen).every((views) => !views.at(-1).loading && views.at(-1).connection === 'live')"
        )
        assert await page.find(
            "[sockets.length, Object.values(seen).filter((views) => views.at(-1).exists).length]"
        ) == [2, 1]
        await show(page)
        await page.until("open_('/ws/') === 0")


async def test_with_tickets_each_progress_has_a_connection_that_shows_it_alone(place: Place, page: Page) -> None:
    async with bench(place, page, "19"):
        tickets = {}
        async with place.service.client(place.tenant) as client:
            for id in ("one", "two"):
                await place.told("/progress", id=id)
            for id, granted in (("one", "one"), ("two", "two"), ("three", "one")):
                answer = await client.post("/api/live/tickets", json={"progress_id": granted, "seconds": 300})
                tickets[id] = answer.raise_for_status().json()["ticket"]
        bars = [["Bar", {"id": id, "name": id}] for id in tickets]
        await page.find(f"window.tickets = {json.dumps(tickets)}")
        await page.find(f"show({{ ticket: async ({{ progressId }}) => tickets[progressId] }}, ...{json.dumps(bars)})")
        await page.until("seen.one.at(-1).exists && seen.two.at(-1).exists && seen.three.at(-1).problem")
        refused = await page.find("[seen.three.at(-1).problem.status, seen.three.at(-1).exists, sockets.length]")
        assert refused == [403, False, 3]


USE = """
import React from "react";
import { bindings, type NotificationsView, type ProgressView } from "./react.js";

const { MillraceProvider, NotificationList, useNotifications, useProgress } = bindings(React, { userId: "ann" });

export function App({ fileId }: { fileId?: string }) {
  const { progress, stage, status, eta, stages, error }: ProgressView = useProgress(fileId);
  const { notifications, unreadCount, markAsRead }: NotificationsView = useNotifications();
  const percent: number = progress;
  const left: number | undefined = eta;
  const marked: Promise<void> = markAsRead(notifications[0]!.id);
  void marked;
  return (
    <MillraceProvider tenant="acme" ticket={async ({ userId, progressId }) => `${userId}${progressId}`}>
      <p title={error?.message}>{percent} {stage} {status} {left} {stages[0]?.name} {unreadCount}</p>
      <NotificationList limit={5} renderItem={(one, markRead) => <b onClick={markRead}>{one.title}</b>} />
    </MillraceProvider>
  );
}
"""


def test_the_types_hold_for_a_strict_compiler(tmp_path: Path) -> None:
    for name in ("client.d.ts", "react.d.ts"):
        (tmp_path / name).write_text((WEB / name).read_text())
    (tmp_path / "use.tsx").write_text(USE)
    assert type_errors(tmp_path) == ""
    (tmp_path / "node_modules").unlink()
    (tmp_path / "use.tsx").write_text(USE.replace("progress;", "progress.nothing;"))
    assert "Property 'nothing' does not exist" in type_errors(tmp_path)


def test_no_markup_is_ever_parsed() -> None:
    for path in WEB.glob("*.js"):
        assert not re.search(r"innerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|\beval\(", path.read_text()), (
            path.name
        )
