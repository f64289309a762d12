-- Batches of jobs, beside unique keys and dependencies: judged before a flush is written, under the append lock, and
-- counted in the same statement as the ends of their jobs.

-- Inline projections: how far each batch has got, and its jobs that may still change that: those that have not ended, and
-- dead letters.
CREATE TABLE batches (
    stream       text        PRIMARY KEY,
    tenant       text        NOT NULL,
    id           text        NOT NULL,
    position     bigint      NOT NULL,
    name         text        NOT NULL,
    created_at   timestamptz NOT NULL,
    total        integer     NOT NULL DEFAULT 0,
    open         integer     NOT NULL DEFAULT 0,
    completed    integer     NOT NULL DEFAULT 0,
    failed       integer     NOT NULL DEFAULT 0,
    cancelled    integer     NOT NULL DEFAULT 0,
    is_sealed    boolean     NOT NULL DEFAULT false,
    is_cancelled boolean     NOT NULL DEFAULT false,
    is_complete  boolean     NOT NULL DEFAULT false,
    is_success   boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX batches_position_idx ON batches (tenant, position);
CREATE INDEX batches_due_idx ON batches (stream)
 WHERE is_sealed AND open = 0 AND (NOT is_complete OR (completed = total AND NOT is_success AND NOT is_cancelled));
CREATE INDEX batches_unwanted_idx ON batches (stream) WHERE is_cancelled AND open > 0;

CREATE TABLE batch_members (
    stream text    PRIMARY KEY,
    tenant text    NOT NULL,
    job_id text    NOT NULL,
    batch  text    NOT NULL,
    failed boolean NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX batch_members_batch_idx ON batch_members (batch);

CREATE TYPE member_to_add AS (stream text, tenant text, job_id text, batch text);

CREATE TYPE batch_change AS (ord int, what text, stream text, tenant text, id text, name text);

DROP FUNCTION append_and_grant(
    event_to_append[], answer_to_remember[], text[], text[], text[], work_to_place[], key_to_take[], work_to_place[],
    dependency_to_note[], claim_to_serve[], interval, int, text);
DROP FUNCTION append_batch(
    event_to_append[], answer_to_remember[], text[], text[], text[], work_to_place[], key_to_take[], work_to_place[],
    dependency_to_note[]);
DROP FUNCTION bind_jobs(bigint, key_to_take[], work_to_place[], dependency_to_note[]);

-- Takes keys, makes children wait and adds jobs to batches. The verdict under the same lock has allowed it.
CREATE FUNCTION bind_jobs(
    base bigint, keys key_to_take[], children work_to_place[], links dependency_to_note[], members member_to_add[]
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
    INSERT INTO batch_members (stream, tenant, job_id, batch)
    SELECT m.stream, m.tenant, m.job_id, m.batch FROM unnest(members) AS m;
    UPDATE batches b SET total = b.total + n.added, open = b.open + n.added
      FROM (SELECT m.batch, count(*)::int AS added FROM unnest(members) AS m GROUP BY m.batch) AS n
     WHERE b.stream = n.batch;
END $$;

-- What batches record about themselves; `ord` is the event's ordinal in the flush, `what` the end of its type.
CREATE FUNCTION note_batches(base bigint, at timestamptz, changes batch_change[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO batches (stream, tenant, id, position, name, created_at)
    SELECT c.stream, c.tenant, c.id, base + c.ord, c.name, at FROM unnest(changes) AS c WHERE c.what = 'created';
    UPDATE batches b
       SET is_sealed = b.is_sealed OR n.sealed, is_cancelled = b.is_cancelled OR n.cancelled,
           is_complete = b.is_complete OR n.completed, is_success = b.is_success OR n.succeeded
      FROM (SELECT c.stream, bool_or(c.what IN ('sealed', 'cancelled')) AS sealed,
                   bool_or(c.what = 'cancelled') AS cancelled, bool_or(c.what = 'completed') AS completed,
                   bool_or(c.what = 'succeeded') AS succeeded
              FROM unnest(changes) AS c GROUP BY c.stream) AS n
     WHERE b.stream = n.stream;
END $$;

-- Where the jobs of batches have got to, given what each came to last.
CREATE FUNCTION count_in_batches(streams text[], types text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH news AS (SELECT n.stream, n.type FROM unnest(streams, types) AS n(stream, type)),
    gone AS (
        DELETE FROM batch_members m USING news n
         WHERE m.stream = n.stream AND n.type IN ('job.completed', 'job.cancelled')
        RETURNING m.batch, m.failed AS was_failed, n.type),
    marked AS (
        UPDATE batch_members m SET failed = NOT m.failed FROM news n
         WHERE m.stream = n.stream AND n.type IN ('job.dead_lettered', 'job.revived')
           AND m.failed <> (n.type = 'job.dead_lettered')
        RETURNING m.batch, NOT m.failed AS was_failed, n.type)
    UPDATE batches b
       SET open = b.open + d.open, completed = b.completed + d.completed, failed = b.failed + d.failed,
           cancelled = b.cancelled + d.cancelled
      FROM (SELECT c.batch,
                   (count(*) FILTER (WHERE c.type = 'job.revived') - count(*) FILTER (WHERE NOT c.was_failed))::int AS open,
                   (count(*) FILTER (WHERE c.type = 'job.completed'))::int AS completed,
                   (count(*) FILTER (WHERE c.type = 'job.dead_lettered')
                    - count(*) FILTER (WHERE c.was_failed))::int AS failed,
                   (count(*) FILTER (WHERE c.type = 'job.cancelled'))::int AS cancelled
              FROM (SELECT * FROM gone UNION ALL SELECT * FROM marked) AS c GROUP BY c.batch) AS d
     WHERE b.stream = d.batch;
END $$;

-- As before, and with the counts of batches. What the ends of jobs mean for others: keys are free again, and children whose parents are all done are placed like
-- new jobs, with the age that they have. Returns how many children were placed.
CREATE OR REPLACE FUNCTION follow_ends(events event_to_append[]) RETURNS int LANGUAGE plpgsql AS $$
<<ends>>
DECLARE
    streams   text[];
    types     text[];
    completed text[];
    failed    text[];
    revived   text[];
    touched   text[];
    oldest    bigint;
    released  work_to_place[];
BEGIN
    IF NOT EXISTS (SELECT FROM unique_keys) AND NOT EXISTS (SELECT FROM dependencies)
       AND NOT EXISTS (SELECT FROM batch_members) THEN RETURN 0; END IF;
    SELECT array_agg(e.stream), array_agg(e.type), array_agg(e.stream) FILTER (WHERE e.type = 'job.completed'),
           array_agg(e.stream) FILTER (WHERE e.type IN ('job.dead_lettered', 'job.cancelled')),
           array_agg(e.stream) FILTER (WHERE e.type = 'job.revived')
      INTO streams, types, completed, failed, revived
      FROM (SELECT DISTINCT ON (u.stream) u.stream, u.type FROM unnest(events) AS u
             WHERE u.type IN ('job.completed', 'job.dead_lettered', 'job.cancelled', 'job.revived')
             ORDER BY u.stream, u.version DESC) AS e;
    IF streams IS NULL THEN RETURN 0; END IF;
    PERFORM count_in_batches(streams, types);
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

-- As before, and with what binds jobs to each other: the keys they take, the children that have to wait and for whom, the
-- members of batches.
CREATE FUNCTION append_batch(
    events event_to_append[], answers answer_to_remember[],
    gone_ready text[], gone_waiting text[], gone_leases text[], work work_to_place[],
    keys key_to_take[], children work_to_place[], links dependency_to_note[], members member_to_add[],
    changes batch_change[],
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
    IF cardinality(changes) > 0 THEN PERFORM note_batches(base, at, changes); END IF;
    PERFORM place_work(base, gone_ready, gone_waiting, gone_leases, work);
    IF cardinality(keys) > 0 OR cardinality(children) > 0 OR cardinality(members) > 0 THEN
        PERFORM bind_jobs(base, keys, children, links, members);
    END IF;
    released := follow_ends(events);
END $$;

-- As before; a granted job that had its key until its start gives it up.
CREATE FUNCTION append_and_grant(
    events event_to_append[], answers answer_to_remember[],
    gone_ready text[], gone_waiting text[], gone_leases text[], work work_to_place[],
    keys key_to_take[], children work_to_place[], links dependency_to_note[], members member_to_add[],
    changes batch_change[], claims claim_to_serve[], grant_lease interval, grant_bytes int, id_prefix text,
    OUT base bigint, OUT at timestamptz, OUT released int,
    OUT granted granted_job[], OUT stopped int[], OUT granted_base bigint, OUT granted_at timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.base, a.at, a.released INTO base, at, released
      FROM append_batch(events, answers, gone_ready, gone_waiting, gone_leases, work, keys, children, links, members,
                        changes) AS a;
    SELECT s.granted, s.stopped, s.base, s.at INTO granted, stopped, granted_base, granted_at
      FROM serve_claims(claims, grant_lease, grant_bytes, id_prefix, cardinality(events)) AS s;
    IF cardinality(granted) > 0 AND EXISTS (SELECT FROM unique_keys) THEN
        DELETE FROM unique_keys u USING unnest(granted) AS g WHERE u.stream = g.stream AND u.until = 'started';
    END IF;
END $$;
