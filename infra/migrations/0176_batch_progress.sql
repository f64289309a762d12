-- A batch may have a progress. `told` is what that was told last of the batch's counts, in the order of the index below; null where
-- there is none.
ALTER TABLE batches ADD COLUMN told integer[];
CREATE INDEX batches_untold_idx ON batches (stream)
 WHERE told <> ARRAY[total, open, completed, failed, cancelled, is_sealed::integer, is_cancelled::integer];

-- As before; `tracked` says that the batch has a progress.
CREATE OR REPLACE FUNCTION note_batches(base bigint, at timestamptz, changes batch_change[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO batches (stream, tenant, id, position, name, created_at)
    SELECT c.stream, c.tenant, c.id, base + c.ord, c.name, at FROM unnest(changes) AS c WHERE c.what = 'created';
    UPDATE batches b
       SET is_sealed = b.is_sealed OR n.sealed, is_cancelled = b.is_cancelled OR n.cancelled,
           is_complete = b.is_complete OR n.completed, is_success = b.is_success OR n.succeeded,
           told = CASE WHEN n.tracked THEN '{0,0,0,0,0,0,0}' ELSE b.told END
      FROM (SELECT c.stream, bool_or(c.what IN ('sealed', 'cancelled')) AS sealed,
                   bool_or(c.what = 'cancelled') AS cancelled, bool_or(c.what = 'completed') AS completed,
                   bool_or(c.what = 'succeeded') AS succeeded, bool_or(c.what = 'tracked') AS tracked
              FROM unnest(changes) AS c GROUP BY c.stream) AS n
     WHERE b.stream = n.stream;
END $$;

-- Stored states of progress lack what is kept of the counts; they are made again from their events.
DELETE FROM snapshots WHERE originator_id LIKE 'progress:%';
