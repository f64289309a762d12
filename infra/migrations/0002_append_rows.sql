-- `append_batch` takes rows instead of columns, which costs its caller a third to encode and the server less to unnest. It
-- also returns the time it gave the events, so that the process that appended them need not read them.
DROP FUNCTION append_batch(
    text[], bigint[], text[], bytea[], uuid[], text[], text[], text[], text[], text[], text[], text[], text[],
    text[], text[], text[], bytea[], text[], int[], text[], text[], text[],
    text[], text[], text[], text[], float8[], int[], bigint[], int[], text[], timestamptz[]);

CREATE TYPE event_to_append AS (
    stream text, version bigint, topic text, state bytea, id uuid, type text, kind text, subject text, tenant text,
    company text, correlation text, causation text, metadata jsonb);

-- `last_event` is the ordinal (1, 2, 3 …) of the command's last event in the batch, NULL where it has none.
CREATE TYPE answer_to_remember AS (
    tenant text, principal text, command_id text, body_hash bytea, answer text, last_event int);

CREATE TYPE work_to_place AS (
    stream text, tenant text, job_id text, queue text, rank float8, last_event int, version bigint, attempt int,
    task text, due_at timestamptz);

-- Appends a whole batch: positions, events, remembered answers, and the inline rows that follow from the events.
-- Takes the advisory lock before anything else: nothing takes a row lock before it.
CREATE FUNCTION append_batch(
    events event_to_append[], answers answer_to_remember[],
    gone_ready text[], gone_waiting text[], gone_leases text[], work work_to_place[],
    OUT base bigint, OUT at timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7270501);
    UPDATE store SET head = head + cardinality(events) RETURNING head - cardinality(events) INTO base;
    at := clock_timestamp();
    IF cardinality(answers) > 0 THEN
        INSERT INTO inbox (tenant, principal, command_id, body_hash, answer, position, recorded_at)
        SELECT a.tenant, a.principal, a.command_id, a.body_hash, a.answer, base + a.last_event, at
          FROM unnest(answers) AS a;
    END IF;
    IF cardinality(events) > 0 THEN
        INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, event_id, event_type,
               kind, subject, tenant, company, correlation_id, causation_id, metadata, recorded_at)
        SELECT e.stream, e.version, e.topic, e.state, base + e.ord, e.id, e.type,
               e.kind, e.subject, e.tenant, e.company, e.correlation, e.causation, e.metadata, at
          FROM unnest(events) WITH ORDINALITY
               AS e(stream, version, topic, state, id, type, kind, subject, tenant, company, correlation, causation,
                    metadata, ord);
    END IF;
    IF cardinality(gone_ready) > 0 THEN DELETE FROM ready WHERE stream = ANY (gone_ready); END IF;
    IF cardinality(gone_waiting) > 0 THEN DELETE FROM waiting WHERE stream = ANY (gone_waiting); END IF;
    IF cardinality(gone_leases) > 0 THEN DELETE FROM leases WHERE stream = ANY (gone_leases); END IF;
    IF cardinality(work) > 0 THEN
        INSERT INTO ready (stream, tenant, job_id, queue, rank, position, version, attempt, task)
        SELECT w.stream, w.tenant, w.job_id, w.queue, w.rank, base + w.last_event, w.version, w.attempt, w.task
          FROM unnest(work) AS w WHERE w.due_at IS NULL;
        INSERT INTO waiting (stream, tenant, job_id, queue, rank, position, version, attempt, task, due_at)
        SELECT w.stream, w.tenant, w.job_id, w.queue, w.rank, base + w.last_event, w.version, w.attempt, w.task, w.due_at
          FROM unnest(work) AS w WHERE w.due_at IS NOT NULL;
    END IF;
END $$;
