/** One granted attempt: runs its handler for as long as the grant is valid, and reports one outcome. */

import { inspect } from 'node:util';
import { Checkpoints } from './checkpoints.mjs';

/** Thrown by a handler when another attempt cannot help: the job goes to the dead letters at once. */
export class NonRetryable extends Error {
  name = 'NonRetryable';
}

/** Thrown by a handler that has failed and knows when another attempt may help. */
export class RetryAfter extends Error {
  name = 'RetryAfter';

  /** @param {number} seconds @param {string} [message] */
  constructor(seconds, message = 'the handler asked for another attempt') {
    super(message);
    this.seconds = seconds;
  }
}

/** The reasons with which a handler's signal is aborted. */
export class Lost extends Error {
  name = 'Lost';
}
export class Timeout extends Error {
  name = 'Timeout';
}
export class Stopping extends Error {
  name = 'Stopping';
}

/**
 * @typedef {object} Grant what `job.claim` answers for each job
 * @property {string} job_id
 * @property {number} attempt fencing token: it grows with every grant of the job
 * @property {string} name
 * @property {any} data
 * @property {string} queue
 * @property {number} attempts
 * @property {number} max_attempts
 * @property {number} timeout seconds
 * @property {string | null} correlation_id
 * @property {unknown} checkpoint what an earlier attempt saved, or null
 * @property {{job_id: string, name: string, status: string, result: unknown}[]} parents the jobs that it came after
 *
 * @typedef {object} Job what a handler gets beside the data
 * @property {Grant} grant
 * @property {AbortSignal} signal aborted when the attempt is not valid any more, has timed out, or is handed back
 * @property {(name: string, body: object) => Promise<any>} command sends a command on behalf of this job
 * @property {(state: unknown) => Promise<void>} checkpoint saves what the next attempt finds as `grant.checkpoint`
 * @property {(details: object) => void} heartbeat tells what the job is at, with the next renewal
 *
 * @typedef {(data: any, job: Job) => unknown} Handler its result, awaited, becomes the job's
 */

/** The longest that `setTimeout` can wait; above, it fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** A grant that is not renewed soon after the start lapses. */
const CONFIRM_AFTER = 1000;

export class Attempt {
  #controller = new AbortController();
  /** @type {Checkpoints | undefined} */
  #checkpoints;
  #reports;
  /** What the handler has told of itself and no renewal has carried yet. @type {object | undefined} */
  untold;
  #timeout;
  /** @type {Alarm | undefined} */
  #validity;
  /** Whether the outcome is fixed: whatever the handler does then is dropped. */
  over = false;
  /** When to renew, in milliseconds of the monotonic clock. */
  renewAt = performance.now() + CONFIRM_AFTER;

  /** @param {Grant} grant @param {number} validUntil @param {import('./reports.mjs').Reports} reports */
  constructor(grant, validUntil, reports) {
    this.grant = { checkpoint: null, parents: [], ...grant }; // what is null is left out on the way
    this.key = { job_id: grant.job_id, attempt: grant.attempt };
    this.#reports = reports;
    this.#timeout = new Alarm(performance.now() + grant.timeout * 1000, () => this.#timeOut());
    this.extend(validUntil);
  }

  /** @param {number} validUntil in milliseconds of the monotonic clock */
  extend(validUntil) {
    this.#validity?.clear();
    if (!this.over) this.#validity = new Alarm(validUntil, () => this.lose('the lease ran out'));
  }

  /**
   * Returns when the handler has; only then is its slot free.
   *
   * @param {Handler} handler
   * @param {import('./millrace.mjs').Millrace} client
   */
  async run(handler, client) {
    const { job_id, correlation_id } = this.grant;
    const headers = { causation: job_id, ...(correlation_id ? { correlation: correlation_id } : {}) };
    /** @param {string} name @param {object} body */
    const command = (name, body) => client.command(name, body, { headers });
    const checkpoints = (this.#checkpoints = new Checkpoints(this.key, command));
    const job = {
      grant: this.grant,
      signal: this.#controller.signal,
      command,
      /** @param {unknown} state */
      checkpoint: (state) => checkpoints.save(state),
      /** @param {object} details */
      heartbeat: (details) => void (this.untold = details),
    };
    try {
      const result = await handler(this.grant.data, job);
      if (this.#end()) this.#reports.completed(this.key, result);
    } catch (error) {
      if (!this.#end()) return;
      const after = error instanceof RetryAfter ? error.seconds : undefined;
      this.#reports.failed(this.key, described(error), {
        retryable: !(error instanceof NonRetryable),
        after,
        unsaved: checkpoints.unsaved,
      });
    }
  }

  /** The job was cancelled, or another worker may have it: nothing is reported. @param {string} why */
  lose(why) {
    if (this.#end()) this.#controller.abort(new Lost(why));
  }

  /** Gives the job to another worker; it uses no attempt. */
  handBack() {
    if (!this.#end()) return;
    this.#reports.returned(this.key, 'the worker stopped', { unsaved: this.#checkpoints?.unsaved });
    this.#controller.abort(new Stopping('the worker stops'));
  }

  #timeOut() {
    if (!this.#end()) return;
    const error = new Timeout(`the attempt took longer than ${this.grant.timeout} s`);
    const unsaved = this.#checkpoints?.unsaved;
    this.#reports.failed(this.key, { type: 'Timeout', message: error.message }, { unsaved });
    this.#controller.abort(error);
  }

  /** Whether the outcome was still open. */
  #end() {
    const open = !this.over;
    this.over = true;
    this.#checkpoints?.close();
    this.#timeout.clear();
    this.#validity?.clear();
    return open;
  }
}

class Alarm {
  /** @param {number} due in milliseconds of the monotonic clock @param {() => void} ring */
  constructor(due, ring) {
    const wait = () => {
      const left = due - performance.now();
      this.timer = setTimeout(left > 0 ? wait : ring, Math.min(Math.max(left, 0), LONGEST_TIMER));
    };
    wait();
  }

  clear() {
    clearTimeout(this.timer);
  }
}

/** @param {unknown} error */
function described(error) {
  if (!(error instanceof Error)) return { type: typeof error, message: inspect(error) };
  const type = error.name === 'Error' ? error.constructor.name : error.name;
  return { type, message: error.message, traceback: error.stack };
}
