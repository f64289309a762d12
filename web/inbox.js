// <millrace-inbox user-id="…"> shows a user's notifications, live, and marks them as read on every device.

import { safeAddress } from "./links.js";
import { Live, element, restarted, socketAddress, styled } from "./live.js";
import { EMPTY, inboxAfter } from "./state.js";
import { THEME } from "./theme.js";

const CSS = `${THEME}
header { align-items: center; display: flex; gap: 0.625rem; }
h3 { font-size: 1rem; font-weight: 600; margin: 0; }
.count {
  background: var(--accent);
  border-radius: 99px;
  color: var(--surface);
  font-size: 0.75rem;
  font-variant-numeric: tabular-nums;
  font-weight: 650;
  min-width: 1.5rem;
  padding: 0.125rem 0.5rem;
  text-align: center;
}
.count[data-count="0"] { background: var(--raised); color: var(--quiet); }
.connection { color: var(--quiet); font-size: 0.8125rem; }
.all { margin-inline-start: auto; }
button {
  background: none;
  border: 0;
  border-radius: 8px;
  color: var(--accent);
  cursor: pointer;
  font: inherit;
  font-size: 0.8125rem;
  padding: 0.25rem 0.5rem;
}
button:hover { background: var(--raised); }
button:disabled { color: var(--quiet); cursor: default; opacity: 0.7; }
ul { list-style: none; margin: 0.875rem 0 0; max-height: 26rem; overflow-y: auto; padding: 0; }
li {
  border-top: 1px solid var(--line);
  display: grid;
  gap: 0 0.75rem;
  grid-template-columns: 0.5rem 1fr auto;
  padding: 0.75rem 0.25rem;
}
li:focus-visible { border-radius: 8px; outline-offset: -2px; }
.dot { background: var(--accent); border-radius: 50%; height: 0.5rem; margin-top: 0.4375rem; width: 0.5rem; }
li[data-type="success"] .dot { background: var(--good); }
li[data-type="warning"] .dot { background: var(--warn); }
li[data-type="error"] .dot { background: var(--bad); }
li[data-read] .dot { visibility: hidden; }
.title { font-weight: 600; overflow-wrap: anywhere; }
li[data-read] .title { color: var(--quiet); font-weight: 450; }
.message { color: var(--quiet); margin: 0.125rem 0 0; overflow-wrap: anywhere; }
.more { align-items: center; display: flex; flex-wrap: wrap; font-size: 0.8125rem; gap: 0.25rem 0.75rem; margin-top: 0.25rem; }
a { color: var(--accent); }
time { color: var(--quiet); font-size: 0.8125rem; white-space: nowrap; }
.empty { color: var(--quiet); margin: 0.875rem 0 0; }
ul:not(:empty) + .empty { display: none; }
`;

export class MillraceInbox extends HTMLElement {
  static observedAttributes = ["user-id", "base", "path", "tenant"];

  /** The API key, where the service wants one. A property, so that it is in no markup. */
  apiKey = "";
  /** Fetches a ticket for each connection, where the page has no key: `async () => string`. */
  ticket = null;
  /** The newest notifications, and how many are unread, also those that are not shown. */
  inbox = EMPTY;

  get unread() {
    return this.inbox.unread;
  }

  constructor() {
    super();
    this.root = this.attachShadow({ mode: "open" });
    styled(this.root, CSS);
    this.count = element("span", { class: "count" });
    this.connection = element("span", { class: "connection" });
    this.all = element("button", { class: "all", type: "button", text: "Mark all as read" });
    this.list = element("ul", { "aria-labelledby": "title" });
    this.spoken = element("p", { class: "spoken", role: "status", "aria-live": "polite" });
    this.all.addEventListener("click", () => this.live?.say({ action: "mark_read" }));
    this.list.addEventListener("keydown", (event) => this.press(event));
    this.root.append(
      element(
        "section",
        { class: "card", "aria-labelledby": "title" },
        element("header", {}, element("h3", { id: "title", text: "Notifications" }), this.count, this.connection, this.all),
        this.list,
        element("p", { class: "empty", text: "Nothing new." }),
        this.spoken,
      ),
    );
  }

  connectedCallback() {
    this.follow();
  }

  disconnectedCallback() {
    this.live?.close();
    this.live = null;
  }

  attributeChangedCallback() {
    if (this.isConnected) this.follow();
  }

  follow() {
    this.live?.close();
    this.inbox = EMPTY;
    this.render();
    const user = this.getAttribute("user-id");
    if (!user) return;
    this.live = new Live({
      apiKey: this.apiKey,
      ticket: this.ticket,
      address: (after) =>
        socketAddress(this.getAttribute("base"), this.getAttribute("path") || "/ws/notifications", {
          user_id: user,
          tenant: this.getAttribute("tenant"),
          after,
        }),
      onMessage: (message) => this.hear(message),
      onRestart: (reason) => restarted(this, reason),
      onState: (state) => (this.connection.textContent = state === "waiting" ? "Reconnecting…" : ""),
    });
    this.live.open();
  }

  hear(message) {
    const after = inboxAfter(this.inbox, message);
    if (after === null) this.live.say({ action: "unread" });
    if (after === null || after === this.inbox) return;
    this.inbox = after;
    if (message.event === "notification.created") this.spoken.textContent = `New notification: ${message.data.title}`;
    this.render();
    this.dispatchEvent(new CustomEvent("millrace-unread", { bubbles: true, detail: { unread: after.unread } }));
  }

  render() {
    const { notifications, unread } = this.inbox;
    this.count.textContent = unread > 99 ? "99+" : String(unread);
    this.count.dataset.count = String(unread);
    this.count.setAttribute("aria-label", `${unread} unread`);
    this.all.disabled = unread === 0;
    const focused = this.root.activeElement?.closest?.("li")?.dataset.id;
    this.list.replaceChildren(...notifications.map((one, index) => this.item(one, index)));
    if (focused) [...this.list.children].find((item) => item.dataset.id === focused)?.focus();
  }

  item(one, index) {
    const made = element("li", { tabindex: index === 0 ? "0" : "-1", "data-id": one.id, "data-type": one.type ?? "info" });
    const more = element("div", { class: "more" });
    const address = safeAddress(one.action_url);
    if (address) more.append(element("a", { href: address, text: one.action_label || "Open" }));
    if (one.read) made.dataset.read = "";
    else {
      const read = element("button", { type: "button", tabindex: "-1", text: "Mark as read" });
      read.addEventListener("click", () => this.mark(one.id));
      more.append(read);
    }
    const body = element("div", {}, element("div", { class: "title", text: one.title }));
    if (!one.read) body.firstChild.prepend(element("span", { class: "spoken", text: "Unread: " }));
    if (one.message) body.append(element("p", { class: "message", text: one.message }));
    body.append(more);
    made.append(element("span", { class: "dot", "aria-hidden": "true" }), body, time(one.timestamp));
    return made;
  }

  mark(id) {
    this.live?.say({ action: "mark_read", notification_id: id });
  }

  press(event) {
    const item = event.target.closest("li");
    if (!item) return;
    const to = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling,
      Home: this.list.firstElementChild, End: this.list.lastElementChild }[event.key];
    if (to) {
      event.preventDefault();
      for (const each of this.list.children) each.tabIndex = each === to ? 0 : -1;
      to.focus();
    } else if (event.key === "Enter" && event.target === item) {
      item.querySelector("a")?.click();
      this.mark(item.dataset.id);
    }
  }
}

function time(timestamp) {
  const at = new Date(timestamp);
  if (Number.isNaN(at.getTime())) return element("time");
  const today = new Date().toDateString() === at.toDateString();
  const text = today
    ? at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : at.toLocaleDateString([], { day: "numeric", month: "short" });
  return element("time", { datetime: at.toISOString(), text });
}

customElements.define("millrace-inbox", MillraceInbox);
