/** A worker: claims what it has room for, keeps its leases, reports how the attempts ended. */

import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { hostname } from 'node:os';
import { Attempt } from './attempt.mjs';
import { backoff, Closed, isTemporary, Refused, sleep, Unanswered } from './millrace.mjs';
import { Reports } from './reports.mjs';

/** The service holds a claim so long while nothing is ready. */
const HOLD_SECONDS = 10;
/** How long a message may lie in the broker before somebody takes it, and be on its way beside that. */
const ANSWER_SECONDS = 5;
/** A service that is about to stop answers claims without holding them. */
const EMPTY_PAUSE_SECONDS = 0.2;
/** The share of a lease that is used; the rest is for clocks that differ and for messages on their way. */
const USED_SHARE = 0.8;
const RENEW_EVERY = 10_000;
const RENEW_AGAIN_AFTER = 1_000;
/** A job without a handler here waits for another worker: longer each time it comes back. */
const LOOK_AGAIN_SECONDS = 5;
const LONGEST_LOOK_SECONDS = 60;

/** @param {{job_id: string, attempt: number}} key */
const named = ({ job_id, attempt }) => `${job_id}/${attempt}`;

export class Worker {
  /** A name of this process alone: `withdraw` ends all claims under it. */
  name = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`;
  #client;
  #handlers;
  #queues;
  #slots;
  #grace;
  #reports;
  /** @type {Set<Attempt>} */
  #running = new Set();
  #events = new EventEmitter();
  #stopping = false;
  #renewing = false;
  /** @type {NodeJS.Timeout | undefined} */
  #renewal;

  /**
   * @param {import('./millrace.mjs').Millrace} client
   * @param {Record<string, import('./attempt.mjs').Handler>} handlers by the name of the job
   * @param {{queues?: string[], slots?: number, grace?: number}} [options] `slots`: most jobs at a time; `grace`:
   *   seconds that running jobs have to end after `stop`, before they are handed back
   */
  constructor(client, handlers, { queues = ['default'], slots = 10, grace = 10 } = {}) {
    this.#client = client;
    this.#handlers = new Map(Object.entries(handlers));
    this.#queues = queues;
    this.#slots = slots;
    this.#grace = grace;
    this.#reports = new Reports(client);
  }

  /** Ends `run`: nothing more is claimed. */
  stop() {
    this.#stopping = true;
    this.#events.emit('change');
  }

  /**
   * Works until `stop`. The connection may be lost and come back meanwhile.
   *
   * @throws {Refused} the service does not take the claims of this worker
   */
  async run() {
    const claiming = this.#claim();
    try {
      await Promise.race([claiming, this.#until(() => this.#stopping)]);
    } finally {
      this.#stopping = true;
      await atMost(ANSWER_SECONDS, Promise.allSettled([this.#withdraw(), claiming]));
      await atMost(this.#grace, this.#until(() => this.#live().length === 0));
      for (const attempt of this.#running) attempt.handBack();
      await atMost(ANSWER_SECONDS, this.#reports.empty());
      clearTimeout(this.#renewal);
    }
  }

  async #claim() {
    for (let failures = 0; !this.#stopping; ) {
      await this.#until(() => this.#stopping || this.#running.size < this.#slots);
      if (this.#stopping) return;
      const slots = this.#slots - this.#running.size;
      const body = { worker: this.name, queues: this.#queues, slots, wait: HOLD_SECONDS };
      const sent = performance.now();
      try {
        const limits = { expires: ANSWER_SECONDS, seconds: HOLD_SECONDS + 2 * ANSWER_SECONDS };
        const reply = await this.#client.ask('job.claim', body, limits);
        if (reply.ok) {
          failures = 0;
          const { grants, held } = reply.result;
          this.#start(reply.result, sent);
          if (grants.length === 0 && held < EMPTY_PAUSE_SECONDS) await sleep(EMPTY_PAUSE_SECONDS);
        } else if (isTemporary(reply.error)) {
          await sleep(Math.max(reply.error.retry_after ?? 0, backoff(failures++)));
        } else {
          throw new Refused(reply.error);
        }
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
        if (!this.#stopping) await sleep(backoff(failures++));
      }
    }
  }

  /** @param {{grants: import('./attempt.mjs').Grant[], held: number, lease: number}} claimed @param {number} sent */
  #start({ grants, held, lease }, sent) {
    const validUntil = sent + (held + USED_SHARE * lease) * 1000;
    for (const grant of grants) {
      const handler = this.#handlers.get(grant.name);
      if (performance.now() >= validUntil) continue; // it may be somebody else's already
      const key = { job_id: grant.job_id, attempt: grant.attempt };
      if (this.#stopping) {
        this.#reports.returned(key, 'the worker stopped');
      } else if (handler === undefined || '$codec' in grant.data) {
        const delay = Math.min(LONGEST_LOOK_SECONDS, LOOK_AGAIN_SECONDS * grant.attempt);
        const lacks = handler === undefined ? `handler for ${grant.name}` : `serializer ${grant.data.$codec}`;
        this.#reports.returned(key, `no ${lacks} in the worker that got it`, { delay });
      } else {
        const attempt = new Attempt(grant, validUntil, this.#reports);
        this.#running.add(attempt);
        attempt.run(handler, this.#client).finally(() => {
          this.#running.delete(attempt);
          this.#events.emit('change');
        });
      }
    }
    this.#scheduleRenewal();
  }

  #live() {
    return [...this.#running].filter((attempt) => !attempt.over);
  }

  #scheduleRenewal() {
    clearTimeout(this.#renewal);
    const due = Math.min(...this.#live().map((attempt) => attempt.renewAt));
    if (this.#renewing || due === Infinity) return;
    this.#renewal = setTimeout(() => this.#renew(), Math.max(0, due - performance.now()));
  }

  async #renew() {
    const attempts = this.#live();
    if (attempts.length === 0) return;
    this.#renewing = true;
    const sent = performance.now();
    let next = RENEW_AGAIN_AFTER;
    try {
      const told = attempts.map((attempt) => ({ ...attempt.key, details: attempt.untold }));
      for (const attempt of attempts) attempt.untold = undefined;
      const body = { worker: this.name, attempts: told };
      const reply = await this.#client.ask('job.renew', body, { expires: ANSWER_SECONDS, seconds: ANSWER_SECONDS });
      if (reply.ok) {
        next = RENEW_EVERY;
        const lost = new Map(reply.result.lost.map((/** @type {any} */ each) => [named(each), each]));
        for (const attempt of attempts) {
          const told = lost.get(named(attempt.key));
          if (told) attempt.lose(told.status ? `${told.status}: ${told.reason ?? 'no reason'}` : 'given to another worker');
          else attempt.extend(sent + USED_SHARE * reply.result.lease * 1000);
        }
      }
    } catch (error) {
      if (!(error instanceof Unanswered || error instanceof Closed)) throw error;
    }
    for (const attempt of attempts) attempt.renewAt = sent + next;
    this.#renewing = false;
    this.#scheduleRenewal();
  }

  async #withdraw() {
    const limits = { expires: ANSWER_SECONDS, seconds: ANSWER_SECONDS };
    await this.#client.ask('job.withdraw', { worker: this.name }, limits);
  }

  /** @param {() => boolean} condition looked at whenever a handler has ended, and at `stop` */
  async #until(condition) {
    while (!condition()) await once(this.#events, 'change');
  }
}

/** Waits for `work`, but not longer. @param {number} seconds @param {Promise<unknown>} work */
async function atMost(seconds, work) {
  const limit = new AbortController();
  await Promise.race([work, sleep(seconds, limit.signal)]);
  limit.abort();
}
