/** What the next attempt of a job finds: the newest state, sent once a second at most. */

import { sleep } from './millrace.mjs';

const EVERY = 1000;

export class Checkpoints {
  #key;
  #send;
  #number = 0;
  #due = -Infinity;
  #closing = new AbortController();
  /** @type {Promise<void> | undefined} */
  #sending;
  /** The state that the service does not have yet, in an object so that null can be one. @type {{state: unknown} | undefined} */
  unsaved;

  /** @param {import('./reports.mjs').Key} key @param {(name: string, body: object) => Promise<any>} command */
  constructor(key, command) {
    this.#key = key;
    this.#send = command;
  }

  /**
   * Resolves when the service has this state or a newer one, and rejects with a `Refused` where the attempt is not valid any
   * more. A handler need not wait for it.
   *
   * @param {unknown} state JSON of at most 64 KiB
   */
  save(state) {
    this.unsaved = { state };
    if (this.#sending === undefined) {
      this.#sending = this.#deliver().finally(() => (this.#sending = undefined));
      this.#sending.catch(() => {}); // whoever waits for it is told; nobody has to
    }
    return this.#sending;
  }

  /** Sends nothing more; what is `unsaved` then goes with the report. */
  close() {
    this.#closing.abort();
  }

  async #deliver() {
    while (this.unsaved !== undefined) {
      await sleep(Math.max(0, this.#due - performance.now()) / 1000, this.#closing.signal);
      if (this.#closing.signal.aborted) return;
      const sent = this.unsaved;
      this.#due = performance.now() + EVERY;
      await this.#send('job.checkpoint', { ...this.#key, state: sent.state, number: ++this.#number });
      if (this.unsaved === sent) this.unsaved = undefined;
    }
  }
}
