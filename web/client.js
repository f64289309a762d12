// Progress and notifications for programs of a page: camelCase, dates and milliseconds here, the service's words there.

import { Live, socketAddress } from "./live.js";

// What belongs to the application keeps its names.
const OPAQUE = new Set(["metadata", "result", "context", "checkpoint", "categories", "matrix", "recipient"]);
const TIMES = new Set(["timestamp", "snoozed_until", "due_at"]);

/** Thrown where the service refuses, or cannot be reached: then the status is 0. */
export class MillraceError extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || "the service cannot be reached");
    this.name = "MillraceError";
    this.status = status;
    this.code = problem.code ?? "unavailable";
    this.errors = problem.errors ?? [];
    this.retryAfter = problem.retry_after == null ? null : problem.retry_after * 1000;
  }
}

class Client {
  constructor({ base = "", path = "", apiKey = "", tenant = "", ticket = null } = {}) {
    Object.assign(this, { base, path, apiKey, tenant, ticket });
  }

  async call(method, path, body, query = {}) {
    const url = new URL(path, this.base || window.location.href);
    for (const [name, value] of Object.entries(query)) if (value != null) url.searchParams.set(name, value);
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (this.apiKey) headers["X-Api-Key"] = this.apiKey;
    if (this.tenant) headers["X-Tenant-Id"] = this.tenant;
    const content = body === undefined ? undefined : JSON.stringify(toWire(body));
    let answer;
    try {
      answer = await fetch(url, { method, headers, body: content });
    } catch (error) {
      throw new MillraceError(0, { detail: error.message });
    }
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new MillraceError(answer.status, told);
    return told;
  }

  /** Follows a WebSocket until what is returned is called. */
  follow(path, parameters, opening, onMessage) {
    const { apiKey, ticket, base, tenant } = this;
    const address = (after) => socketAddress(base, path, { ...parameters(after), tenant });
    const live = new Live({ apiKey, ticket, address, opening, onMessage });
    live.open();
    return () => live.close();
  }
}

export class ProgressTracker extends Client {
  async create(options = {}) {
    return progressOf(await this.call("POST", "/api/progress", options));
  }

  async update(id, progress, stage) {
    const body = stage === undefined ? { progress } : { progress, stage };
    return progressOf(await this.call("PATCH", `/api/progress/${encodeURIComponent(id)}`, body));
  }

  async complete(id, result = null) {
    return progressOf(await this.call("POST", `/api/progress/${encodeURIComponent(id)}/complete`, { result }));
  }

  async fail(id, error) {
    const body = { error: error instanceof Error ? error.message || error.name : String(error) };
    return progressOf(await this.call("POST", `/api/progress/${encodeURIComponent(id)}/fail`, body));
  }

  async get(id) {
    return progressOf(await this.call("GET", `/api/progress/${encodeURIComponent(id)}`));
  }

  subscribe(id, callback) {
    let known = null;
    const opening = (after) => [{ action: "subscribe", progress_id: id, ...(after && known ? { after } : {}) }];
    return this.follow(this.path || "/ws/progress", () => ({}), opening, ({ event, data }) => {
      if (!event.startsWith("progress.") || data?.id !== id) return;
      known = { ...known, ...data };
      callback(progressOf(known));
    });
  }
}

export class NotificationService extends Client {
  async send(notification) {
    const { notification_id } = await this.call("POST", "/api/notifications", given(notification));
    return notification_id;
  }

  async sendBulk(notifications) {
    const { results } = await this.call("POST", "/api/notifications/bulk", notifications.map(given));
    const refused = results.find((result) => !result.ok);
    if (refused) throw new MillraceError(refused.problem?.status ?? 422, refused.problem ?? {});
    return results.map(({ result }) => result.notification_id);
  }

  async markAsRead(notificationId, userId) {
    await this.call("POST", `/api/notifications/${encodeURIComponent(notificationId)}/read`, undefined, {
      user_id: userId,
    });
  }

  async markAllAsRead(userId) {
    await this.call("POST", "/api/notifications/read", undefined, { user_id: userId });
  }

  async getUserNotifications(userId, filters = {}) {
    const found = await this.call("GET", "/api/notifications", undefined, { user_id: userId, ...toWire(filters) });
    return found.map(fromWire);
  }

  async unreadCount(userId) {
    return (await this.call("GET", "/api/notifications/unread", undefined, { user_id: userId })).unread;
  }

  async setPreferences(userId, preferences) {
    await this.call("PUT", "/api/notifications/preferences", preferences, { user_id: userId });
  }

  subscribe(userId, callback) {
    return this.follow(this.path || "/ws/notifications", (after) => ({ user_id: userId, after }), () => [], ({ event, data }) => {
      if (event === "notification.created") callback(fromWire({ ...data, user_id: userId }));
    });
  }
}

/** Values of the service as a page has them: camelCase, and dates. */
export function fromWire(value) {
  if (Array.isArray(value)) return value.map(fromWire);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== null)
      .map(([name, each]) => {
        const time = typeof each === "string" && (name.endsWith("_at") || TIMES.has(name));
        return [camel(name), OPAQUE.has(name) ? each : time ? new Date(each) : fromWire(each)];
      }),
  );
}

/** Values of a page as the service wants them. */
export function toWire(value) {
  if (Array.isArray(value)) return value.map(toWire);
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [snake(name), OPAQUE.has(name) ? each : toWire(each)]),
  );
}

function progressOf(wire) {
  const { error, errorDetail, ...progress } = fromWire(wire);
  if (error !== undefined) progress.error = { message: error, ...errorDetail };
  return progress;
}

/** What a sender says of a notification; the rest of its fields is the service's. */
function given({ id, timestamp, read, ...notification }) {
  return notification;
}

function camel(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
