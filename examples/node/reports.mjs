/** Carries outcomes to the service, many in one message, until it has them. */

import { EventEmitter, once } from 'node:events';
import { backoff, Closed, isTemporary, sleep } from './millrace.mjs';

const MOST_ITEMS = 500;
/** A message has at most 1 MiB; this leaves room for the ids. */
const MOST_BYTES = 900_000;
const LONGEST_MESSAGE = 8_000;
const LONGEST_TRACEBACK = 32_000;
/** Refusals that say something about the outcome itself. */
const UNSTORABLE = new Set(['invalid', 'malformed', 'too-large']);

/** @typedef {{job_id: string, attempt: number}} Key */
/** @typedef {{key: Key, id: string, json: string, replaced: boolean}} Report */

export class Reports {
  #client;
  /** @type {Report[]} */
  #pending = [];
  #sending = false;
  #events = new EventEmitter();

  /** @param {import('./millrace.mjs').Millrace} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {Key} key @param {unknown} result */
  completed(key, result) {
    let json;
    try {
      json = JSON.stringify({ ...key, outcome: 'completed', result });
    } catch (error) {
      return this.#replace(key, `the result is not JSON: ${error}`);
    }
    if (Buffer.byteLength(json) > MOST_BYTES) return this.#replace(key, 'the result is too large; return where it is');
    this.#add({ key, id: reportId(key), json, replaced: false });
  }

  /**
   * @param {Key} key
   * @param {{type: string, message: string, traceback?: string}} error
   * @param {{retryable?: boolean, after?: number, unsaved?: {state: unknown}}} [options] `after`: seconds to the next
   *   attempt, in place of the policy's; `unsaved`: a checkpoint that goes with the report
   */
  failed(key, { type, message, traceback = '' }, { retryable = true, after, unsaved } = {}) {
    const error = {
      type: text(type, 256),
      message: text(message, LONGEST_MESSAGE),
      traceback: text(traceback, LONGEST_TRACEBACK),
    };
    const json = JSON.stringify({ ...key, outcome: 'failed', error, retryable, retry_after: after, checkpoint: unsaved?.state });
    this.#add({ key, id: reportId(key), json, replaced: false });
  }

  /**
   * @param {Key} key
   * @param {string} reason
   * @param {{delay?: number, unsaved?: {state: unknown}}} [options] `delay`: seconds before it is granted again
   */
  returned(key, reason, { delay, unsaved } = {}) {
    const outcome = { outcome: 'returned', reason: text(reason, 256), delay, checkpoint: unsaved?.state };
    const json = JSON.stringify({ ...key, ...outcome });
    this.#add({ key, id: reportId(key), json, replaced: false });
  }

  /** Resolves when the service has everything. */
  async empty() {
    while (this.#sending || this.#pending.length > 0) await once(this.#events, 'empty');
  }

  /** The attempt must end all the same, and in a way that says why. @param {Key} key @param {string} why */
  #replace(key, why) {
    const error = { type: 'ResultRefused', message: text(why, LONGEST_MESSAGE) };
    const json = JSON.stringify({ ...key, outcome: 'failed', error, retryable: false });
    this.#add({ key, id: `${reportId(key)}/refused`, json, replaced: true });
  }

  /** @param {Report} report */
  #add(report) {
    this.#pending.push(report);
    if (this.#sending) return;
    this.#sending = true;
    // Not at once: what ends in this turn of the event loop goes into one message.
    setImmediate(() => this.#send());
  }

  async #send() {
    try {
      while (this.#pending.length > 0) await this.#deliver(this.#batch());
    } catch (error) {
      if (!(error instanceof Closed)) throw error;
    } finally {
      this.#sending = false;
      this.#events.emit('empty');
    }
  }

  #batch() {
    let bytes = 0;
    let count = 0;
    for (const { json } of this.#pending.slice(0, MOST_ITEMS)) {
      bytes += Buffer.byteLength(json);
      if (count > 0 && bytes > MOST_BYTES) break;
      count++;
    }
    return this.#pending.splice(0, count);
  }

  /** @param {Report[]} batch @returns {Promise<void>} */
  async #deliver(batch) {
    const reply = await this.#client.report(batch);
    if (!reply.ok && batch.length > 1) {
      // The message as a whole was refused: in halves the one that cannot be taken is found.
      const middle = batch.length >> 1;
      await this.#deliver(batch.slice(0, middle));
      return this.#deliver(batch.slice(middle));
    }
    const again = [];
    let later = 0;
    for (const [index, report] of batch.entries()) {
      const answer = reply.ok ? reply.results[index] : reply;
      if (answer.ok) continue;
      if (isTemporary(answer.error)) {
        again.push(report);
        later = Math.max(later, answer.error.retry_after ?? backoff(0));
        continue;
      }
      const { code, detail } = answer.error;
      // Most often `stale-attempt`: the job was cancelled, or somebody else has it by now. The outcome is dropped.
      console.error(`${report.key.job_id} attempt ${report.key.attempt}: outcome refused, ${code}: ${detail}`);
      if (UNSTORABLE.has(code) && !report.replaced) this.#replace(report.key, `the outcome was refused: ${detail}`);
    }
    this.#pending.unshift(...again);
    if (again.length > 0) await sleep(later);
  }
}

/** An attempt has one outcome, so its report has one id. @param {Key} key */
function reportId({ job_id, attempt }) {
  return `report:${job_id}:${attempt}`;
}

/**
 * What a database can store of a text: no NUL, no half of a surrogate pair.
 *
 * @param {string} value
 * @param {number} most
 */
function text(value, most) {
  return Buffer.from(String(value).replaceAll('\0', '\\0').slice(0, most)).toString();
}
