-- Which queues a worker looks into, NULL where it has not asked for jobs since the migration.
ALTER TABLE workers ADD queues text[];
