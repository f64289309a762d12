// <millrace-progress progress-id="…" label="…"> shows one progress, live: bar, stages, time left, how it ended.

import { Live, element, restarted, socketAddress, styled } from "./live.js";
import { progressAfter, stagesOf } from "./state.js";
import { THEME } from "./theme.js";

const WORDS = {
  pending: "Waiting",
  processing: "In progress",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  removed: "Removed",
};
const CSS = `${THEME}
header { align-items: baseline; display: flex; gap: 0.75rem; justify-content: space-between; }
h3 { font-size: 1rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
.percent { font-size: 1.375rem; font-variant-numeric: tabular-nums; font-weight: 650; letter-spacing: -0.01em; }
.bar { background: var(--raised); border-radius: 99px; height: 10px; margin: 0.625rem 0 0.75rem; overflow: hidden; }
.fill {
  background: var(--accent);
  border-radius: inherit;
  height: 100%;
  transition: width 0.25s ease-out, background 0.25s;
  width: var(--percent, 0%);
}
:host([status="completed"]) .fill { background: var(--good); }
:host([status="failed"]) .fill, :host([status="cancelled"]) .fill { background: var(--bad); }
.facts { color: var(--quiet); display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; }
.facts .status { color: var(--text); font-weight: 550; }
:host([status="completed"]) .facts .status { color: var(--good); }
:host([status="failed"]) .facts .status, .error { color: var(--bad); }
.stalled { color: var(--warn); }
ol { display: flex; flex-wrap: wrap; gap: 0.375rem; list-style: none; margin: 0.875rem 0 0; padding: 0; }
li {
  align-items: center;
  background: var(--raised);
  border-radius: 8px;
  color: var(--quiet);
  display: flex;
  font-size: 0.8125rem;
  gap: 0.375rem;
  padding: 0.25rem 0.625rem;
}
li::before { content: "○"; }
li[data-status="completed"] { color: var(--good); }
li[data-status="completed"]::before { content: "✓"; }
li[data-status="processing"] { box-shadow: inset 0 0 0 1.5px var(--accent); color: var(--text); font-weight: 550; }
li[data-status="processing"]::before { color: var(--accent); content: "●"; }
li[data-status="failed"], li[data-status="cancelled"] { color: var(--bad); }
li[data-status="failed"]::before, li[data-status="cancelled"]::before { content: "✕"; }
.error { margin: 0.75rem 0 0; overflow-wrap: anywhere; }
.error:empty, ol:empty { display: none; }
@media (prefers-reduced-motion: reduce) { .fill { transition: none; } }
`;

export class MillraceProgress extends HTMLElement {
  static observedAttributes = ["progress-id", "label", "base", "path", "tenant"];

  /** The API key, where the service wants one. A property, so that it is in no markup. */
  apiKey = "";
  /** Fetches a ticket for each connection, where the page has no key: `async () => string`. */
  ticket = null;
  /** The progress as it is known; null until it is. */
  progress = null;

  constructor() {
    super();
    this.root = this.attachShadow({ mode: "open" });
    styled(this.root, CSS);
    this.parts = {
      title: element("h3", { id: "title" }),
      percent: element("span", { class: "percent", "aria-hidden": "true" }),
      fill: element("div", { class: "fill" }),
      status: element("span", { class: "status" }),
      stage: element("span"),
      left: element("span"),
      stalled: element("span", { class: "stalled" }),
      connection: element("span"),
      stages: element("ol", { "aria-label": "Stages" }),
      error: element("p", { class: "error" }),
      spoken: element("p", { class: "spoken", role: "status", "aria-live": "polite" }),
    };
    const { title, percent, fill, status, stage, left, stalled, connection, stages, error, spoken } = this.parts;
    this.bar = element(
      "div",
      { class: "bar", role: "progressbar", "aria-labelledby": "title", "aria-valuemin": "0", "aria-valuemax": "100" },
      fill,
    );
    this.root.append(
      element(
        "section",
        { class: "card", "aria-labelledby": "title" },
        element("header", {}, title, percent),
        this.bar,
        element("div", { class: "facts" }, status, stage, left, stalled, connection),
        stages,
        error,
        spoken,
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

  attributeChangedCallback(name) {
    if (!this.isConnected) return;
    if (name === "label") this.render();
    else this.follow();
  }

  follow() {
    this.live?.close();
    this.progress = null;
    this.removeAttribute("status");
    this.render();
    const id = this.getAttribute("progress-id");
    if (!id) return;
    this.live = new Live({
      apiKey: this.apiKey,
      ticket: this.ticket,
      address: () =>
        socketAddress(this.getAttribute("base"), this.getAttribute("path") || "/ws/progress", {
          tenant: this.getAttribute("tenant"),
        }),
      opening: (after) => [{ action: "subscribe", progress_id: id, ...(after && this.progress ? { after } : {}) }],
      onMessage: (message) => this.hear(message),
      onRestart: (reason) => {
        // It may have been removed since, and then nobody says how it is.
        this.progress = null;
        this.removeAttribute("status");
        this.render();
        restarted(this, reason);
      },
      onState: (state) => this.show("connection", state === "waiting" ? "Reconnecting…" : ""),
    });
    this.live.open();
  }

  hear(message) {
    const known = this.progress;
    this.progress = progressAfter(known, message);
    if (this.progress === known) return;
    this.speak(known);
    this.render();
    this.dispatchEvent(new CustomEvent("millrace-update", { bubbles: true, detail: this.progress }));
  }

  /** Tells those who listen what changed, but not every percent. */
  speak(before) {
    const { status, stage, error } = this.progress;
    if (before && before.status === status && before.stage === stage) return;
    const where = status === "processing" && stage ? `, ${stage}` : "";
    this.show("spoken", `${this.title_()}: ${WORDS[status] ?? status}${where}${status === "failed" && error ? `: ${error}` : ""}`);
  }

  render() {
    const progress = this.progress;
    const percent = Math.round(progress?.progress ?? 0);
    this.show("title", this.title_());
    this.show("percent", progress ? `${percent} %` : "");
    this.bar.style.setProperty("--percent", `${progress?.progress ?? 0}%`);
    this.bar.setAttribute("aria-valuenow", String(percent));
    this.bar.setAttribute("aria-valuetext", progress ? `${percent} %, ${WORDS[progress.status] ?? progress.status}` : "Unknown");
    if (progress) this.setAttribute("status", progress.status);
    this.show("status", progress ? (WORDS[progress.status] ?? progress.status) : "Not started yet");
    const working = progress?.status === "processing";
    this.show("stage", working && progress.stage ? `${progress.stage} ${Math.round(progress.stage_progress ?? 0)} %` : "");
    this.show("left", working && progress.eta != null ? `about ${duration(progress.eta)} left` : "");
    this.show("stalled", working && progress.stalled_at ? "nothing heard for a while" : "");
    this.show("error", progress?.status === "failed" ? (progress.error ?? "") : "");
    const items = stagesOf(progress).map(({ name, status }) => {
      const item = element("li", { "data-status": status, text: name });
      if (status === "processing") item.setAttribute("aria-current", "step");
      item.append(element("span", { class: "spoken", text: `, ${WORDS[status] ?? status}` }));
      return item;
    });
    this.parts.stages.replaceChildren(...items);
  }

  title_() {
    return this.getAttribute("label") ?? this.getAttribute("progress-id") ?? "Progress";
  }

  show(part, text) {
    if (this.parts[part].textContent !== text) this.parts[part].textContent = text;
  }
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3_600)} h`;
}

customElements.define("millrace-progress", MillraceProgress);
