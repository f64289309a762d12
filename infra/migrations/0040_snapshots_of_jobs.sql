-- A job's state has a checkpoint now. Snapshots from before lack it; they are made again.
DELETE FROM snapshots WHERE originator_id LIKE 'job:%';
