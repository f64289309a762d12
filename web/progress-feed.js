// All the progresses that a page follows, over one connection.

import { Followed } from "./followed.js";
import { Live } from "./live.js";
import { progressAfter, stagesOf } from "./state.js";
import { MillraceError, progressOf } from "./wire.js";

const MOST_FOLLOWED = 64; // by one connection, as the service has it; more take another one
const KNOWS_NOTHING = { progress: 0, status: "pending", stages: Object.freeze([]), metadata: Object.freeze({}) };

/** What is shown of a progress that nobody follows. */
export const UNFOLLOWED = Object.freeze({ ...KNOWS_NOTHING, exists: false, loading: true, connection: "connecting", problem: null });

export class ProgressFeed {
  /** @param {() => {apiKey: string, ticket: Function | null, address: () => URL}} connection how a new one is opened */
  constructor(connection) {
    this.connection = connection;
    this.lines = new Set();
    this.followed = new Map();
  }

  /** What is known of a progress: the same object until it changes. */
  view(id) {
    return this.followed.get(id)?.view ?? UNFOLLOWED;
  }

  /** The progress as it is known; null while it is not. */
  latest(id) {
    return this.followed.get(id)?.progress ?? null;
  }

  /** Tells of every change of the view, with the progress where that is what has changed, until what is returned is called. */
  follow(id, listener) {
    const known = this.followed.get(id);
    if (known) return known.listen(listener);
    const line = this.line(id);
    const one = new FollowedProgress(id, line.state, () => {
      this.followed.delete(id);
      line.leave(id);
      if (line.followed.size) return;
      this.lines.delete(line);
      line.live.close();
    });
    this.followed.set(id, one);
    const stop = one.listen(listener);
    line.join(one);
    return stop;
  }

  /** A connection for one more; a ticket is for one progress alone. */
  line(id) {
    const { ticket, ...connection } = this.connection();
    const open = ticket ? undefined : [...this.lines].find(({ followed }) => followed.size < MOST_FOLLOWED);
    if (open) return open;
    const line = new Line({ ...connection, ticket: ticket && (() => ticket({ progressId: id })) });
    this.lines.add(line);
    return line;
  }
}

/** One connection, and what is followed over it. */
class Line {
  constructor(connection) {
    this.followed = new Map();
    this.state = "connecting";
    this.live = new Live({
      ...connection,
      opening: () => [...this.followed.values()].map((one) => one.wish()),
      onMessage: (message) => this.hear(message),
      onState: (state) => {
        this.state = state;
        for (const one of this.followed.values()) one.show({ connection: state });
      },
      onRestart: () => {
        for (const one of this.followed.values()) one.forget();
      },
    });
    this.live.open();
  }

  join(one) {
    this.followed.set(one.id, one);
    this.live.say(one.wish());
  }

  leave(id) {
    this.followed.delete(id);
    this.live.say({ action: "unsubscribe", progress_id: id });
  }

  hear(message) {
    if (message.event === "error") this.followed.get(message.id)?.refuse(message.data);
    else this.followed.get(message.subject)?.hear(message);
  }
}

class FollowedProgress extends Followed {
  constructor(id, connection, end) {
    super(Object.freeze({ ...UNFOLLOWED, id, connection }), end);
    this.id = id;
    /** The progress in the service's words. */
    this.known = null;
    this.progress = null;
    this.forget();
  }

  /** Begins anew; what was known is shown until it is said how things are now. */
  forget() {
    this.known = null;
    this.position = null;
    this.isSettled = false;
  }

  wish() {
    const after = this.known && this.position ? { after: this.position } : {};
    return { action: "subscribe", progress_id: this.id, id: this.id, ...after };
  }

  hear(message) {
    if (message.position) this.position = message.position;
    const known = progressAfter(this.known, message);
    const isAbsent = message.event === "caught-up" && !this.isSettled;
    if (known === this.known && !isAbsent) return;
    this.known = known;
    this.isSettled = true;
    this.progress = known && progressOf({ ...known, stages: stagesOf(known) });
    this.show(viewOf(this.id, this.progress), this.progress);
  }

  refuse(problem) {
    this.show({ loading: false, problem: new MillraceError(problem.status ?? 0, problem) });
  }

  show(changes, told) {
    // What a progress has no more, such as the error of one that goes on, is shown no more.
    if ("exists" in changes) this.view = { connection: this.view.connection };
    super.show(changes, told);
  }
}

function viewOf(id, progress) {
  const exists = progress !== null && progress.status !== "removed";
  return { id, ...KNOWS_NOTHING, ...(exists ? progress : {}), exists, loading: false, problem: null };
}
