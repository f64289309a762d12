// The inboxes that a page follows: one connection for each user, however many parts of the page show it.

import { Followed } from "./followed.js";
import { Live } from "./live.js";
import { EMPTY, inboxAfter } from "./state.js";
import { MillraceError, fromWire } from "./wire.js";

const unconnected = () => Promise.reject(new MillraceError(0, { detail: "there is no connection to the service" }));

/** What is shown of an inbox that nobody follows. */
export const UNFOLLOWED = Object.freeze({
  notifications: Object.freeze([]),
  unreadCount: 0,
  loading: true,
  connection: "connecting",
  problem: null,
  markAsRead: unconnected,
  markAllAsRead: unconnected,
});

export class InboxFeed {
  /** @param {() => {apiKey: string, ticket: Function | null, address: (parameters: object) => URL}} connection how a new one is opened */
  constructor(connection) {
    this.connection = connection;
    this.followed = new Map();
  }

  /** What is known of a user's inbox: the same object until it changes. */
  view(userId) {
    return this.followed.get(userId)?.view ?? UNFOLLOWED;
  }

  /** Tells of every change of the view, with the notification where a new one is the reason, until what is returned is called. */
  follow(userId, listener) {
    const known = this.followed.get(userId);
    if (known) return known.listen(listener);
    const one = new FollowedInbox(userId, this.connection(), () => {
      this.followed.delete(userId);
      one.close();
    });
    this.followed.set(userId, one);
    const stop = one.listen(listener);
    one.live.open();
    return stop;
  }
}

class FollowedInbox extends Followed {
  constructor(userId, { address, ticket, ...connection }, end) {
    super(UNFOLLOWED, end);
    this.userId = userId;
    /** The inbox in the service's words. */
    this.known = EMPTY;
    this.asked = new Map();
    this.number = 0;
    this.live = new Live({
      ...connection,
      ticket: ticket && (() => ticket({ userId })),
      address: (after) => address({ user_id: userId, after }),
      onMessage: (message) => this.hear(message),
      onState: (state) => {
        if (state === "waiting") this.lose();
        this.show({ connection: state });
      },
    });
    this.view = Object.freeze({
      ...UNFOLLOWED,
      markAsRead: (id) => this.ask({ action: "mark_read", notification_id: id }),
      markAllAsRead: () => this.ask({ action: "mark_read" }),
    });
  }

  close() {
    this.live.close();
    this.lose();
  }

  /** Says something, and waits for the answer. */
  ask(message) {
    this.number += 1;
    const id = String(this.number);
    if (!this.live.say({ ...message, id })) return unconnected();
    return new Promise((resolve, reject) => this.asked.set(id, { resolve, reject }));
  }

  lose() {
    const error = new MillraceError(0, { detail: "the connection was lost before the service answered" });
    for (const { reject } of this.asked.values()) reject(error);
    this.asked.clear();
  }

  hear(message) {
    const problem = message.event === "error" ? new MillraceError(message.data.status ?? 0, message.data) : null;
    const asked = this.asked.get(message.id);
    if (asked) {
      this.asked.delete(message.id);
      if (problem) asked.reject(problem);
      else asked.resolve();
    } else if (problem) this.show({ loading: false, problem });
    else this.take(message);
  }

  take(message) {
    const known = inboxAfter(this.known, message);
    const created = message.event === "notification.created" ? this.shown(message.data) : null;
    if (known === null) this.live.say({ action: "unread" });
    if (known === null || (known === this.known && !created)) return;
    this.known = known;
    const notifications = Object.freeze(known.notifications.map((one) => this.shown(one)));
    this.show({ notifications, unreadCount: known.unread, loading: false, problem: null }, created);
  }

  shown(notification) {
    return fromWire({ ...notification, user_id: this.userId });
  }
}
