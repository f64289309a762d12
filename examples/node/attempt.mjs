/** One granted attempt: runs its handler for as long as the grant is valid, and reports one outcome. */

import { inspect } from 'node:util';

/** Thrown by a handler when another attempt cannot help: the job goes to the dead letters at once. */
export class NonRetryable extends Error {
  name = 'NonRetryable';
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
 *
 * @typedef {object} Job what a handler gets beside the data
 * @property {Grant} grant
 * @property {AbortSignal} signal aborted when the attempt is not valid any more, has timed out, or is handed back
 * @property {(name: string, body: object) => Promise<any>} command sends a command on behalf of this job
 *
 * @typedef {(data: any, job: Job) => unknown} Handler its result, awaited, becomes the job's
 */

/** The longest that `setTimeout` can wait; above, it fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** A grant that is not renewed soon after the start lapses. */
const CONFIRM_AFTER = 1000;

export class Attempt {
  #controller = new AbortController();
  #reports;
  #timeout;
  /** @type {Alarm | undefined} */
  #validity;
  /** Whether the outcome is fixed: whatever the handler does then is dropped. */
  over = false;
  /** When to renew, in milliseconds of the monotonic clock. */
  renewAt = performance.now() + CONFIRM_AFTER;

  /** @param {Grant} grant @param {number} validUntil @param {import('./reports.mjs').Reports} reports */
  constructor(grant, validUntil, reports) {
    this.grant = grant;
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
    const job = {
      grant: this.grant,
      signal: this.#controller.signal,
      /** @param {string} name @param {object} body */
      command: (name, body) => client.command(name, body, { headers }),
    };
    try {
      const result = await handler(this.grant.data, job);
      if (this.#end()) this.#reports.completed(this.key, result);
    } catch (error) {
      if (this.#end()) this.#reports.failed(this.key, described(error), !(error instanceof NonRetryable));
    }
  }

  /** The job was cancelled, or another worker may have it: nothing is reported. @param {string} why */
  lose(why) {
    if (this.#end()) this.#controller.abort(new Lost(why));
  }

  /** Gives the job to another worker; it uses no attempt. */
  handBack() {
    if (!this.#end()) return;
    this.#reports.returned(this.key, 'the worker stopped');
    this.#controller.abort(new Stopping('the worker stops'));
  }

  #timeOut() {
    if (!this.#end()) return;
    const error = new Timeout(`the attempt took longer than ${this.grant.timeout} s`);
    this.#reports.failed(this.key, { type: 'Timeout', message: error.message });
    this.#controller.abort(error);
  }

  /** Whether the outcome was still open. */
  #end() {
    const open = !this.over;
    this.over = true;
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
