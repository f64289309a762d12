/**
 * Cancels a job, whatever it is doing, and prints what became of it.
 *
 *   RABBITMQ_URL=amqp://guest:guest@localhost/ node cancel.mjs JOB_ID [REASON] [--tenant NAME]
 */

import { parseArgs } from 'node:util';
import { Millrace, Refused } from './millrace.mjs';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { tenant: { type: 'string' } } });
const [job_id, reason] = positionals;
const millrace = new Millrace(process.env.RABBITMQ_URL ?? 'amqp://guest:guest@localhost/', { tenant: values.tenant });
try {
  const { position } = await millrace.command('job.cancel', { job_id, reason });
  const { job } = await millrace.query('job.get', { job_id }, { minPosition: position });
  console.log(JSON.stringify({ id: job.id, name: job.name, status: job.status }));
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(JSON.stringify(error.problem, null, 2));
  process.exitCode = 1;
} finally {
  await millrace.close();
}
