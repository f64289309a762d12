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

-- What a start needs of its job's origin stands in columns of its own, so that nobody has to look into `task`.
ALTER TABLE ready ADD company text, ADD correlation_id text, ADD traceparent text;
ALTER TABLE waiting ADD company text, ADD correlation_id text, ADD traceparent text;
UPDATE ready SET company = task::json ->> 'company', correlation_id = task::json ->> 'correlation_id',
       traceparent = task::json ->> 'traceparent';
UPDATE waiting SET company = task::json ->> 'company', correlation_id = task::json ->> 'correlation_id',
       traceparent = task::json ->> 'traceparent';

CREATE TYPE work_to_place AS (
    stream text, tenant text, job_id text, queue text, rank float8, last_event int, version bigint, attempt int,
    task text, due_at timestamptz, company text, correlation_id text, traceparent text);

-- `ord` numbers the claims of one flush; those that look into the same queues stand together.
CREATE TYPE claim_to_serve AS (ord int, tenant text, queues text[], slots int, worker text);

CREATE TYPE granted_job AS (
    claim int, stream text, tenant text, job_id text, version bigint, attempt int, task text, company text,
    correlation_id text, traceparent text);

-- Grants ready jobs to claims, in order: each becomes a lease and a `job.started`, which is written here as the event
-- mapper would write it. Runs under the append lock, after the appends, and sees what they have made ready.
-- `stopped` has the claims of workers that have withdrawn.
CREATE FUNCTION serve_claims(
    claims claim_to_serve[], grant_lease interval, grant_bytes int, id_prefix text, first_id int,
    OUT granted granted_job[], OUT stopped int[], OUT base bigint, OUT at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    claim  claim_to_serve;
    picked granted_job[];
    -- Where the last claim found nothing, the next one of the same queues need not look.
    dry_tenant text;
    dry_queues text[];
BEGIN
    granted := '{}';
    stopped := '{}';
    at := clock_timestamp();
    FOREACH claim IN ARRAY claims LOOP
        IF EXISTS (SELECT FROM workers w WHERE w.tenant = claim.tenant AND w.worker = claim.worker AND w.stopped) THEN
            stopped := stopped || claim.ord;
            CONTINUE;
        END IF;
        CONTINUE WHEN dry_tenant = claim.tenant AND dry_queues = claim.queues;
        WITH heads AS (
            SELECT head.*
              FROM unnest(claim.queues) AS q(queue)
             CROSS JOIN LATERAL (SELECT r.stream, r.rank, r.position, octet_length(r.task) AS size FROM ready r
                                  WHERE r.tenant = claim.tenant AND r.queue = q.queue
                                  ORDER BY r.rank, r.position LIMIT claim.slots) AS head
             ORDER BY head.rank, head.position LIMIT claim.slots),
        sized AS (
            SELECT h.stream, sum(h.size) OVER (ORDER BY h.rank, h.position) - h.size AS before FROM heads h),
        taken AS (
            DELETE FROM ready r WHERE r.stream IN (SELECT s.stream FROM sized s WHERE s.before < grant_bytes)
            RETURNING r.*),
        leased AS (
            INSERT INTO leases (stream, tenant, job_id, attempt, worker, expires_at)
            SELECT t.stream, t.tenant, t.job_id, t.attempt, claim.worker, at + grant_lease FROM taken t)
        SELECT array_agg(ROW (claim.ord, t.stream, t.tenant, t.job_id, t.version, t.attempt, t.task, t.company,
                              t.correlation_id, t.traceparent)::granted_job ORDER BY t.rank, t.position)
          INTO picked FROM taken t;
        IF picked IS NULL THEN
            dry_tenant := claim.tenant;
            dry_queues := claim.queues;
        ELSE
            granted := granted || picked;
        END IF;
    END LOOP;
    IF cardinality(granted) = 0 THEN RETURN; END IF;
    UPDATE store SET head = head + cardinality(granted) RETURNING head - cardinality(granted) INTO base;
    INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, event_id, event_type,
           kind, subject, tenant, company, correlation_id, causation_id, metadata, recorded_at)
    SELECT g.stream, g.version + 1, 'job.started',
           convert_to(format('{"timestamp":"%s","attempt":%s,"worker":%s}',
                             to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), g.attempt,
                             to_json(c.worker)), 'UTF8'),
           base + g.ord, (id_prefix || lpad(to_hex(first_id + g.ord - 1), 12, '0'))::uuid, 'job.started',
           'job', g.job_id, g.tenant, g.company, g.correlation_id, g.job_id,
           CASE WHEN g.traceparent IS NOT NULL THEN jsonb_build_object('traceparent', g.traceparent) END, at
      FROM unnest(granted) WITH ORDINALITY
           AS g(claim, stream, tenant, job_id, version, attempt, task, company, correlation_id, traceparent, ord)
      JOIN unnest(claims) AS c(ord, tenant, queues, slots, worker) ON c.ord = g.claim;
END $$;

-- The rows of the inline projections that follow from the events of a batch, whose positions begin after `base`.
CREATE FUNCTION place_work(
    base bigint, gone_ready text[], gone_waiting text[], gone_leases text[], work work_to_place[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(gone_ready) > 0 THEN DELETE FROM ready WHERE stream = ANY (gone_ready); END IF;
    IF cardinality(gone_waiting) > 0 THEN DELETE FROM waiting WHERE stream = ANY (gone_waiting); END IF;
    IF cardinality(gone_leases) > 0 THEN DELETE FROM leases WHERE stream = ANY (gone_leases); END IF;
    IF cardinality(work) > 0 THEN
        INSERT INTO ready (stream, tenant, job_id, queue, rank, position, version, attempt, task, company, correlation_id,
                           traceparent)
        SELECT w.stream, w.tenant, w.job_id, w.queue, w.rank, base + w.last_event, w.version, w.attempt, w.task, w.company,
               w.correlation_id, w.traceparent
          FROM unnest(work) AS w WHERE w.due_at IS NULL;
        INSERT INTO waiting (stream, tenant, job_id, queue, rank, position, version, attempt, task, due_at, company,
                             correlation_id, traceparent)
        SELECT w.stream, w.tenant, w.job_id, w.queue, w.rank, base + w.last_event, w.version, w.attempt, w.task, w.due_at,
               w.company, w.correlation_id, w.traceparent
          FROM unnest(work) AS w WHERE w.due_at IS NOT NULL;
    END IF;
END $$;

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
    PERFORM place_work(base, gone_ready, gone_waiting, gone_leases, work);
END $$;

-- A flush in one statement, which is one round trip and one transaction.
CREATE FUNCTION append_and_grant(
    events event_to_append[], answers answer_to_remember[],
    gone_ready text[], gone_waiting text[], gone_leases text[], work work_to_place[],
    claims claim_to_serve[], grant_lease interval, grant_bytes int, id_prefix text,
    OUT base bigint, OUT at timestamptz,
    OUT granted granted_job[], OUT stopped int[], OUT granted_base bigint, OUT granted_at timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.base, a.at INTO base, at
      FROM append_batch(events, answers, gone_ready, gone_waiting, gone_leases, work) AS a;
    SELECT s.granted, s.stopped, s.base, s.at INTO granted, stopped, granted_base, granted_at
      FROM serve_claims(claims, grant_lease, grant_bytes, id_prefix, cardinality(events)) AS s;
END $$;
