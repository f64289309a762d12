-- Read models that an older release made get the indexes by which jobs are searched.
DO $$
DECLARE
    model record;
BEGIN
    FOR model IN SELECT DISTINCT version FROM readers WHERE name = 'jobs' OR name LIKE 'jobs@%' LOOP
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I USING gin
            (to_tsvector(''simple'', regexp_replace(left(type || '' '' || message, 4000), ''[^[:alnum:]]+'', '' '', ''g'')))',
            'job_errors_v' || model.version || '_words_idx', 'job_errors_v' || model.version);
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I USING brin (created_at)',
            'jobs_v' || model.version || '_created_idx', 'jobs_v' || model.version);
    END LOOP;
END $$;
