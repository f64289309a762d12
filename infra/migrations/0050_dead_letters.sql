-- Read models that an older release made get the rows of the dead letters; `projections.dead_letters` fills them.
DO $$
DECLARE
    reader record;
BEGIN
    FOR reader IN SELECT name, version FROM readers WHERE name = 'jobs' OR name LIKE 'jobs@%' LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I (
            tenant      text        NOT NULL,
            id          text        NOT NULL,
            position    bigint      NOT NULL,
            fingerprint text        NOT NULL,
            name        text        NOT NULL,
            queue       text        NOT NULL,
            type        text        NOT NULL,
            message     text        NOT NULL,
            frame       text        NOT NULL,
            failed_at   timestamptz NOT NULL,
            PRIMARY KEY (tenant, id))', 'dead_letters_v' || reader.version);
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (tenant, position)',
            'dead_letters_v' || reader.version || '_position_idx', 'dead_letters_v' || reader.version);
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (tenant, fingerprint, position)',
            'dead_letters_v' || reader.version || '_fingerprint_idx', 'dead_letters_v' || reader.version);
        IF reader.name = 'jobs' THEN
            EXECUTE format('CREATE OR REPLACE VIEW dead_letters AS SELECT * FROM %I',
                'dead_letters_v' || reader.version);
        END IF;
    END LOOP;
END $$;
