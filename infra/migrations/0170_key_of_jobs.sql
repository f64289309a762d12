-- Whom a job is for can be read and searched. The tables of every version get the column, also of one that is being rebuilt, and
-- it is filled from the events. One that is compressed or encrypted cannot be read here: `millrace rebuild jobs` fills in its job's.
DO $$
DECLARE
    version text;
BEGIN
    FOR version IN
        SELECT relname FROM pg_class
         WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname ~ '^jobs_v[0-9]+$'
         ORDER BY relname
    LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN key text', version);
        EXECUTE format(
            'UPDATE %I j SET key = e.key'
            '  FROM (SELECT tenant, subject, convert_from(state, ''UTF8'')::json ->> ''key'' AS key FROM stored_events'
            '         WHERE kind = ''job'' AND event_type = ''job.enqueued'''
            '           AND substr(state, 1, 14) = convert_to(''{"timestamp":"'', ''UTF8'')) e'
            ' WHERE j.tenant = e.tenant AND j.id = e.subject AND e.key IS NOT NULL',
            version);
    END LOOP;
END $$;
