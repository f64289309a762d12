/**
 * Enqueues a job and prints it.
 *
 *   RABBITMQ_URL=amqp://guest:guest@localhost/ node enqueue.mjs NAME [DATA]
 *     [--id MESSAGE_ID] [--queue NAME] [--tenant NAME]
 */

import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Millrace, Refused } from './millrace.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { id: { type: 'string' }, queue: { type: 'string' }, tenant: { type: 'string' } },
});
const [name = 'transcribe', data = '{"file_id": "42"}'] = positionals;
const millrace = new Millrace(process.env.RABBITMQ_URL ?? 'amqp://guest:guest@localhost/', { tenant: values.tenant });
try {
  // The id makes repeating harmless, also in another process: the same id gets the same answer, the job exists once.
  const id = values.id ?? randomUUID();
  const body = { name, data: JSON.parse(data), queue: values.queue };
  const { result, position } = await millrace.command('job.enqueue', body, { id });
  const { job } = await millrace.query('job.get', { job_id: result.job_id }, { minPosition: position });
  console.log(JSON.stringify(job, null, 2));
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(JSON.stringify(error.problem, null, 2));
  process.exitCode = 1;
} finally {
  await millrace.close();
}
