/**
 * What the example worker can do: a handler for each name of a job. A handler gets the job's data and the job itself, and
 * what it returns is the job's result.
 *
 * @type {Record<string, import('./attempt.mjs').Handler>}
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { NonRetryable } from './attempt.mjs';

export default {
  double: ({ n }) => {
    if (typeof n !== 'number') throw new NonRetryable('n must be a number');
    return { twice: 2 * n };
  },

  /** Hands the signal on, so that it ends at once when the job is cancelled or the lease is lost. */
  transcribe: async ({ file_id }, job) => {
    await sleep(1_000, undefined, { signal: job.signal });
    return { file_id, words: 1200 };
  },
};
