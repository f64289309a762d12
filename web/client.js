// Progress and notifications for programs of a page: camelCase, dates and milliseconds here, the service's words there.

import { InboxFeed } from "./inbox-feed.js";
import { socketAddress } from "./live.js";
import { ProgressFeed } from "./progress-feed.js";
import { MillraceError, fromWire, progressOf, toWire } from "./wire.js";

export { MillraceError, fromWire, toWire };

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

  /** What a WebSocket needs to be opened. */
  connection(path) {
    const { apiKey, ticket, base, tenant } = this;
    return { apiKey, ticket, address: (parameters) => socketAddress(base, path, { ...parameters, tenant }) };
  }
}

export class ProgressTracker extends Client {
  constructor(options) {
    super(options);
    this.feed = new ProgressFeed(() => this.connection(this.path || "/ws/progress"));
  }

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
    let isWanted = true;
    const stop = this.feed.follow(id, (progress) => progress && callback(progress));
    const known = this.feed.latest(id);
    if (known) queueMicrotask(() => isWanted && callback(known));
    return () => {
      isWanted = false;
      stop();
    };
  }

  view(id) {
    return this.feed.view(id);
  }

  follow(id, listener) {
    return this.feed.follow(id, () => listener());
  }
}

export class NotificationService extends Client {
  constructor(options) {
    super(options);
    this.feed = new InboxFeed(() => this.connection(this.path || "/ws/notifications"));
  }

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
    return this.feed.follow(userId, (created) => created && callback(created));
  }

  view(userId) {
    return this.feed.view(userId);
  }

  follow(userId, listener) {
    return this.feed.follow(userId, () => listener());
  }
}

/** What a sender says of a notification; the rest of its fields is the service's. */
function given({ id, timestamp, read, ...notification }) {
  return notification;
}
