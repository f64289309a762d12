-- Unique keys and dependencies. Both are decided before a batch is written, under the append lock, and follow from its
-- events in the same statement; a batch that has none of them pays for two looks into empty tables.

-- Operational: which job has a unique key. The row goes when the job starts or ends; an expired one may be taken over.
CREATE TABLE unique_keys (
    tenant     text NOT NULL,
    key        text NOT NULL,
    stream     text NOT NULL,
    job_id     text NOT NULL,
    until      text NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (tenant, key)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX unique_keys_stream_idx ON unique_keys (stream);

-- Inline projections: the jobs that wait for others, each as the row that it will have once it need not, and what it
-- still waits for. `failed` says that the parent has failed and the child is to be cancelled.
CREATE TABLE dependents (
    stream   text   PRIMARY KEY,
    tenant   text   NOT NULL,
    job_id   text   NOT NULL,
    position bigint NOT NULL,
    work     jsonb  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

CREATE TABLE dependencies (
    child      text    NOT NULL,
    parent     text    NOT NULL,
    parent_id  text    NOT NULL,
    on_failure text    NOT NULL,
    failed     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (child, parent)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX dependencies_parent_idx ON dependencies (parent);
CREATE INDEX dependencies_failed_idx ON dependencies (child) WHERE failed;

CREATE TYPE key_to_take AS (tenant text, key text, stream text, job_id text, until text, ttl float8);

CREATE TYPE dependency_to_note AS (child text, parent text, parent_id text, on_failure text, failed boolean);

-- Takes keys and makes children wait. Only called where the verdict under the same lock has allowed it.
CREATE FUNCTION bind_jobs(
    base bigint, keys key_to_take[], children work_to_place[], links dependency_to_note[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unique_keys (tenant, key, stream, job_id, until, expires_at)
    SELECT k.tenant, k.key, k.stream, k.job_id, k.until, clock_timestamp() + make_interval(secs => k.ttl)
      FROM unnest(keys) AS k
        ON CONFLICT (tenant, key) DO UPDATE
       SET stream = excluded.stream, job_id = excluded.job_id, until = excluded.until, expires_at = excluded.expires_at;
    INSERT INTO dependents (stream, tenant, job_id, position, work)
    SELECT c.stream, c.tenant, c.job_id, base + c.last_event, to_jsonb(c) FROM unnest(children) AS c;
    INSERT INTO dependencies (child, parent, parent_id, on_failure, failed)
    SELECT l.child, l.parent, l.parent_id, l.on_failure, l.failed FROM unnest(links) AS l;
END $$;

-- What the ends of jobs mean for others: keys are free again, and children whose parents are all done are placed like
-- new jobs, with the age that they have. Returns how many children were placed.
CREATE FUNCTION follow_ends(events event_to_append[]) RETURNS int LANGUAGE plpgsql AS $$
<<ends>>
DECLARE
    completed text[];
    failed    text[];
    revived   text[];
    touched   text[];
    oldest    bigint;
    released  work_to_place[];
BEGIN
    IF NOT EXISTS (SELECT FROM unique_keys) AND NOT EXISTS (SELECT FROM dependencies) THEN RETURN 0; END IF;
    SELECT array_agg(e.stream) FILTER (WHERE e.type = 'job.completed'),
           array_agg(e.stream) FILTER (WHERE e.type IN ('job.dead_lettered', 'job.cancelled')),
           array_agg(e.stream) FILTER (WHERE e.type = 'job.revived')
      INTO completed, failed, revived
      FROM (SELECT DISTINCT ON (u.stream) u.stream, u.type FROM unnest(events) AS u
             WHERE u.type IN ('job.completed', 'job.dead_lettered', 'job.cancelled', 'job.revived')
             ORDER BY u.stream, u.version DESC) AS e;
    IF completed IS NULL AND failed IS NULL AND revived IS NULL THEN RETURN 0; END IF;
    DELETE FROM unique_keys u WHERE u.stream = ANY (completed || failed);
    IF failed IS NOT NULL THEN
        DELETE FROM dependents p WHERE p.stream = ANY (ends.failed);
        DELETE FROM dependencies d WHERE d.child = ANY (ends.failed);
        UPDATE dependencies d SET failed = true WHERE d.parent = ANY (ends.failed) AND d.on_failure = 'cancel';
    END IF;
    IF revived IS NOT NULL THEN
        UPDATE dependencies d SET failed = false WHERE d.parent = ANY (revived) AND d.failed;
    END IF;
    WITH met AS (
        DELETE FROM dependencies d
         WHERE d.parent = ANY (completed || ends.failed)
           AND (d.on_failure = 'run' OR d.parent = ANY (completed))
        RETURNING d.child)
    SELECT array_agg(DISTINCT m.child), min(p.position) INTO touched, oldest
      FROM met m JOIN dependents p ON p.stream = m.child;
    IF touched IS NULL THEN RETURN 0; END IF;
    WITH free AS (
        DELETE FROM dependents p
         WHERE p.stream = ANY (touched) AND NOT EXISTS (SELECT FROM dependencies d WHERE d.child = p.stream)
        RETURNING p.work, p.position)
    SELECT array_agg(jsonb_populate_record(NULL::work_to_place, f.work || jsonb_build_object(
                         'last_event', least(f.position - oldest, 2147483647))) ORDER BY f.position)
      INTO released FROM free f;
    IF released IS NULL THEN RETURN 0; END IF;
    PERFORM place_work(oldest, '{}', '{}', '{}', released);
    RETURN cardinality(released);
END $$;

DROP FUNCTION append_and_grant(
    event_to_append[], answer_to_remember[], text[], text[], text[], work_to_place[], claim_to_serve[], interval, int, text);
DROP FUNCTION append_batch(event_to_append[], answer_to_remember[], text[], text[], text[], work_to_place[]);

-- As before, and with what binds jobs to each other: the keys they take, the children that have to wait, for whom.
CREATE FUNCTION append_batch(
    events event_to_append[], answers answer_to_remember[],
    gone_ready text[], gone_waiting text[], gone_leases text[], work work_to_place[],
    keys key_to_take[], children work_to_place[], links dependency_to_note[],
    OUT base bigint, OUT at timestamptz, OUT released int
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
    PERFORM place_work(base, gone_ready, gone_waiting, gone_leases, work);
    IF cardinality(keys) > 0 OR cardinality(children) > 0 THEN PERFORM bind_jobs(base, keys, children, links); END IF;
    released := follow_ends(events);
END $$;

-- As before; a granted job that had its key until its start gives it up.
CREATE FUNCTION append_and_grant(
    events event_to_append[], answers answer_to_remember[],
    gone_ready text[], gone_waiting text[], gone_leases text[], work work_to_place[],
    keys key_to_take[], children work_to_place[], links dependency_to_note[],
    claims claim_to_serve[], grant_lease interval, grant_bytes int, id_prefix text,
    OUT base bigint, OUT at timestamptz, OUT released int,
    OUT granted granted_job[], OUT stopped int[], OUT granted_base bigint, OUT granted_at timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.base, a.at, a.released INTO base, at, released
      FROM append_batch(events, answers, gone_ready, gone_waiting, gone_leases, work, keys, children, links) AS a;
    SELECT s.granted, s.stopped, s.base, s.at INTO granted, stopped, granted_base, granted_at
      FROM serve_claims(claims, grant_lease, grant_bytes, id_prefix, cardinality(events)) AS s;
    IF cardinality(granted) > 0 AND EXISTS (SELECT FROM unique_keys) THEN
        DELETE FROM unique_keys u USING unnest(granted) AS g WHERE u.stream = g.stream AND u.until = 'started';
    END IF;
END $$;
