/** Millrace's commands and queries over plain AMQP. */

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Connection, Unanswered } from './connection.mjs';

export { Closed, Unanswered } from './connection.mjs';

const COMMANDS = 'millrace.commands';
const CLAIMS = 'millrace.claims';
const QUERIES = 'millrace.queries';
const ANSWER_SECONDS = 10;
const FIRST_PAUSE = 0.1;
const LONGEST_PAUSE = 5;

/** Refusals that mean: again, later, with the same id. */
const TEMPORARY = new Set(['too-many', 'unavailable', 'conflict', 'behind']);

/**
 * @typedef {{code: string, title: string, status: number, detail?: string, retry_after?: number}} Problem
 * @typedef {{ok: true, result: any, position: string | null}} Success
 * @typedef {{ok: false, error: Problem}} Refusal
 * @typedef {Success | Refusal} Reply
 */

/** Thrown when the service will not do what was asked. Branch on `code`. */
export class Refused extends Error {
  name = 'Refused';

  /** @param {Problem} problem */
  constructor(problem) {
    super(`${problem.code}: ${problem.detail ?? problem.title}`);
    this.code = problem.code;
    this.problem = problem;
  }
}

/** @param {Problem} problem */
export function isTemporary(problem) {
  return TEMPORARY.has(problem.code);
}

/**
 * Seconds to wait after so many failures in a row: doubling, bounded, and drawn so that many clients spread.
 *
 * @param {number} failures
 */
export function backoff(failures) {
  return Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
}

/** @param {number} seconds @param {AbortSignal} [signal] ends the wait early */
export async function sleep(seconds, signal) {
  await pause(seconds * 1000, undefined, { signal }).catch(() => {});
}

export class Millrace {
  #connection;
  #tenant;

  /**
   * @param {string} url of the broker
   * @param {{tenant?: string}} [options]
   */
  constructor(url, { tenant = 'default' } = {}) {
    this.#connection = new Connection(url);
    this.#tenant = tenant;
  }

  /**
   * Changes something: repeats with the same id until it is answered, so that it is carried out once.
   *
   * @param {string} name such as `job.enqueue`
   * @param {object} body
   * @param {{id?: string, headers?: Record<string, string>}} [options] `id` makes a later call with it the same command
   * @returns {Promise<Success>}
   * @throws {Refused}
   */
  async command(name, body, { id = randomUUID(), headers } = {}) {
    const message = { exchange: COMMANDS, key: this.#key(name), body: JSON.stringify(body), id, headers };
    return granted(await this.#answered({ ...message, seconds: ANSWER_SECONDS, persistent: true }));
  }

  /**
   * @param {string} name such as `job.get`
   * @param {object} body
   * @param {{minPosition?: string | null}} [options] the position of a command that the answer must have seen
   * @returns {Promise<any>} the result
   * @throws {Refused}
   */
  async query(name, body, { minPosition } = {}) {
    const message = { exchange: QUERIES, key: this.#key(name), body: JSON.stringify(body), id: randomUUID() };
    const headers = minPosition ? { min_position: minPosition } : undefined;
    const reply = await this.#answered({ ...message, seconds: ANSWER_SECONDS, expires: ANSWER_SECONDS, headers });
    return granted(reply).result;
  }

  /**
   * Sends a worker's message once, with an id of its own, as a transient message.
   *
   * @param {string} name such as `job.claim`
   * @param {object} body
   * @param {{seconds: number, expires: number}} limits how long to wait for the answer, and for somebody to take it
   * @returns {Promise<Reply>}
   * @throws {Unanswered}
   */
  ask(name, body, { seconds, expires }) {
    const message = { exchange: CLAIMS, key: this.#key(name), body: JSON.stringify(body), id: randomUUID() };
    return this.#connection.ask({ ...message, seconds, expires });
  }

  /**
   * Sends outcomes until they are answered.
   *
   * @param {{id: string, json: string}[]} items
   * @returns {Promise<{ok: true, results: Reply[]} | Refusal>}
   */
  report(items) {
    const body = `[${items.map(({ id, json }) => `{"id":${JSON.stringify(id)},"body":${json}}`).join()}]`;
    const message = { exchange: CLAIMS, key: this.#key('job.report'), body, id: randomUUID() };
    return this.#answered({ ...message, seconds: ANSWER_SECONDS, expires: ANSWER_SECONDS });
  }

  close() {
    return this.#connection.close();
  }

  /** @param {string} name */
  #key(name) {
    return `${this.#tenant}.${name}`;
  }

  /** @param {import('./connection.mjs').Question} question @returns {Promise<any>} */
  async #answered(question) {
    for (let failures = 0; ; failures++) {
      let later = 0;
      try {
        const reply = await this.#connection.ask(question);
        if (reply.ok || !isTemporary(reply.error)) return reply;
        later = reply.error.retry_after ?? 0;
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
      }
      await sleep(Math.max(later, backoff(failures)));
    }
  }
}

/** @param {Reply} reply @returns {Success} */
function granted(reply) {
  if (reply.ok) return reply;
  throw new Refused(reply.error);
}
