/** What the example worker can do. */

import { setTimeout as sleep } from 'node:timers/promises';
import { NonRetryable } from './attempt.mjs';

/**
 * A handler for each name of a job. It gets the job's data and the job itself, and what it returns is the job's result.
 *
 * @type {Record<string, import('./attempt.mjs').Handler>}
 */
const handlers = {
  double: ({ n }) => {
    if (typeof n !== 'number') throw new NonRetryable('n must be a number');
    return { twice: 2 * n };
  },

  /** Hands the signal on, so that it ends at once when the job is cancelled or the lease is lost. */
  transcribe: async ({ file_id }, job) => {
    await sleep(1_000, undefined, { signal: job.signal });
    return { file_id, words: 1200 };
  },

  /** Goes on where an earlier attempt has stopped. */
  copy: async ({ pages }, job) => {
    const from = Number(job.grant.checkpoint ?? 0);
    for (let page = from; page < pages; page++) {
      await sleep(100, undefined, { signal: job.signal });
      job.heartbeat({ page });
      job.checkpoint(page + 1);
    }
    return { pages, from };
  },
};

export default handlers;
