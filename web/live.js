// One WebSocket that outlives its connections: it comes back by itself, and goes on after the last position that it saw.

const SILENCE = 45_000; // milliseconds; the service says something every 15 s
const LONGEST_PAUSE = 30_000;

/** @typedef {{event: string, position?: string, data?: any, transient?: boolean}} Message */

export class Live {
  /**
   * @param {object} options
   * @param {(after: string | null) => URL} options.address where to connect, given the position to go on from
   * @param {(after: string | null) => object[]} [options.opening] what is said first on every connection
   * @param {(message: Message) => void} options.onMessage gets each event once and in order
   * @param {(state: "connecting" | "live" | "waiting") => void} [options.onState]
   * @param {(reason: "reset" | "gone") => void} [options.onRestart] what was seen so far cannot be gone on from
   * @param {string} [options.apiKey] travels as a subprotocol, never in the address
   * @param {(() => Promise<string>) | null} [options.ticket] fetches a ticket for the next connection
   */
  constructor({ address, opening = () => [], onMessage, onState = () => {}, onRestart = () => {}, apiKey = "", ticket = null }) {
    Object.assign(this, { address, opening, onMessage, onState, onRestart, apiKey, ticket });
    this.attempt = 0;
    this.position = null;
    this.positions = new Map();
    this.failures = 0;
    this.socket = null;
    this.timers = { reconnect: 0, silence: 0 };
    this.wake = () => this.failures && this.reconnect(0);
  }

  open() {
    window.addEventListener("online", this.wake);
    this.connect();
  }

  close() {
    window.removeEventListener("online", this.wake);
    clearTimeout(this.timers.reconnect);
    this.drop();
  }

  /** Says something now; what is said while there is no connection is not kept. Tells whether it was sent. */
  say(message) {
    const open = this.socket?.readyState === WebSocket.OPEN;
    if (open) this.socket.send(JSON.stringify(message));
    return open;
  }

  async connect() {
    this.drop();
    this.onState("connecting");
    const attempt = this.attempt;
    const address = this.address(this.position);
    if (this.ticket) {
      try {
        address.searchParams.set("ticket", await this.ticket());
      } catch {
        if (attempt === this.attempt) this.lose();
        return;
      }
      // Meanwhile it may have been closed, or begun anew.
      if (attempt !== this.attempt) return;
    }
    const protocols = ["millrace.v1"];
    if (this.apiKey) protocols.push("millrace.key." + base64url(this.apiKey));
    const socket = new WebSocket(address, protocols);
    this.socket = socket;
    socket.onopen = () => {
      for (const message of this.opening(this.position)) this.say(message);
      this.listen();
    };
    socket.onmessage = ({ data }) => socket === this.socket && this.hear(JSON.parse(data));
    socket.onclose = () => socket === this.socket && this.lose();
    this.listen();
  }

  hear(message) {
    this.listen();
    if (message.event === "reset" || message.event === "gone") {
      // Another log, or events in between that were archived: begin anew with how things are now.
      this.position = null;
      this.positions.clear();
      this.lose();
      this.onRestart(message.event);
      return;
    }
    if (message.event === "caught-up") {
      this.failures = 0;
      this.onState("live");
    }
    if (message.position && message.pattern) {
      // Order, and "once", hold for each subscription of a connection.
      const subscription = JSON.stringify([message.pattern, message.subject, message.user_id]);
      if (!isLater(message.position, this.positions.get(subscription)) && message.eventtype) return;
      this.positions.set(subscription, message.position);
      this.position = message.position;
    }
    this.onMessage(message);
  }

  lose() {
    this.drop();
    this.onState("waiting");
    this.failures += 1;
    const longest = Math.min(LONGEST_PAUSE, 500 * 2 ** Math.min(this.failures, 10));
    // Random, so that not all clients of a service that restarts come back at once.
    this.reconnect(this.failures === 1 ? Math.random() * 500 : longest / 2 + (Math.random() * longest) / 2);
  }

  reconnect(pause) {
    clearTimeout(this.timers.reconnect);
    this.timers.reconnect = setTimeout(() => this.connect(), pause);
  }

  listen() {
    clearTimeout(this.timers.silence);
    this.timers.silence = setTimeout(() => this.lose(), SILENCE);
  }

  drop() {
    clearTimeout(this.timers.silence);
    this.attempt += 1;
    const socket = this.socket;
    this.socket = null;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(1000);
  }
}

/** Whether a position lies behind another one of the same log; one of another log always does. */
export function isLater(position, than) {
  if (!than) return true;
  const [epoch, number] = parts(position);
  const [otherEpoch, otherNumber] = parts(than);
  return epoch !== otherEpoch || number > otherNumber;
}

/** The address of a WebSocket of the service. */
export function socketAddress(base, path, parameters) {
  const url = new URL(path, base || window.location.href);
  url.protocol = url.protocol.replace("http", "ws");
  for (const [name, value] of Object.entries(parameters)) if (value) url.searchParams.set(name, value);
  return url;
}

/** An element with text, attributes and children; never parses markup. */
export function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/** Tells the page that a component begins anew, and why: what it missed in between nobody tells it any more. */
export function restarted(component, reason) {
  component.dispatchEvent(new CustomEvent("millrace-restart", { bubbles: true, detail: { reason } }));
}

/** A style sheet of a component's own. */
export function styled(root, css) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
}

function parts(position) {
  const at = position.lastIndexOf("-");
  return [position.slice(0, at), BigInt(position.slice(at + 1))];
}

function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
