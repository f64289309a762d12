/**
 * Runs jobs until SIGTERM or SIGINT.
 *
 *   RABBITMQ_URL=amqp://guest:guest@localhost/ node worker.mjs
 *     [--handlers FILE] [--queue NAME]... [--slots N] [--grace SECONDS] [--tenant NAME]
 */

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Millrace } from './millrace.mjs';
import { Worker } from './runner.mjs';

const { values } = parseArgs({
  options: {
    handlers: { type: 'string' },
    queue: { type: 'string', multiple: true },
    slots: { type: 'string' },
    grace: { type: 'string' },
    tenant: { type: 'string' },
  },
});
const source = values.handlers ? pathToFileURL(resolve(values.handlers)) : new URL('handlers.mjs', import.meta.url);
const { default: handlers } = await import(source.href);

const millrace = new Millrace(process.env.RABBITMQ_URL ?? 'amqp://guest:guest@localhost/', { tenant: values.tenant });
const worker = new Worker(millrace, handlers, {
  queues: values.queue,
  slots: values.slots === undefined ? undefined : Number(values.slots),
  grace: values.grace === undefined ? undefined : Number(values.grace),
});
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => worker.stop());
console.log(`${worker.name} works on ${Object.keys(handlers).join(', ')}`);
await worker.run();
await millrace.close();
// A handler that ignores its signal must not keep the process.
process.exit(0);
