-- Jobs that would rather run where the last job of their key ran, whose caches are warm there. Nothing is looked at for it
-- when a job becomes ready: a claim of another worker that finds such a job at the head of a lane puts it into `waiting`,
-- for as long as the job wants to wait at most and once in an attempt, and the claims of the worker it waits for take it
-- back from there. Only as many are put aside for a worker as it could run.
CREATE TABLE job_affinities (
    stream  text             PRIMARY KEY,
    seconds double precision NOT NULL,
    -- When anybody may have it, from the first time on that it was put aside; `home` and `worker` while it is.
    until   timestamptz,
    home    text,
    worker  text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX job_affinities_worker_idx ON job_affinities (home, worker) WHERE worker IS NOT NULL;

-- Who ran a key's last job, and how many jobs that worker runs at once.
CREATE TABLE warm_keys (
    tenant  text        NOT NULL,
    queue   text        NOT NULL,
    key     text        NOT NULL,
    home    text        NOT NULL,
    worker  text        NOT NULL,
    room    int         NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, queue, key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

ALTER TYPE work_to_place ADD ATTRIBUTE affinity float8;

-- Snapshots lack what jobs have now; they are made again.
DELETE FROM snapshots WHERE originator_id LIKE 'job:%';

-- How many jobs more a worker could run than it does and than are put aside for it; -1 where it is not there any more.
CREATE FUNCTION room_of(the_home text, the_worker text, room int, at timestamptz) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM workers w
                              WHERE w.tenant = the_home AND w.worker = the_worker AND NOT w.stopped
                                AND w.seen_at > at - interval '30 seconds')
                THEN greatest(room - (SELECT count(*) FROM leases l WHERE l.worker = the_worker)::int, 0)
                ELSE -1 END
         - (SELECT count(*) FROM job_affinities a
             WHERE a.home = the_home AND a.worker = the_worker AND a.until > at)::int
$$;

-- Gives back to the lanes what was put aside for this claim's worker, as much as it asks for, and what waits for workers
-- that are gone or have no room for it.
CREATE FUNCTION take_back_warm(claim claim_to_serve, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at_once constant int := 1000;
BEGIN
    WITH aside AS (
        SELECT a.stream, a.home, a.worker, w.rank, w.tag, w.position, k.room
          FROM job_affinities a JOIN waiting w ON w.stream = a.stream AND w.reason = 'affinity'
          LEFT JOIN warm_keys k ON k.tenant = w.tenant AND k.queue = w.queue AND k.key = w.key
         WHERE a.worker IS NOT NULL),
    unable AS (
        SELECT p.home, p.worker
          FROM (SELECT s.home, s.worker, max(s.room) AS room FROM aside s GROUP BY 1, 2) AS p
         WHERE room_of(p.home, p.worker, coalesce(p.room, 0), at) < 0),
    back AS (
        (SELECT s.stream FROM aside s WHERE (s.home, s.worker) = (claim.tenant, claim.worker)
          ORDER BY s.rank, s.tag, s.position LIMIT claim.slots)
        UNION
        (SELECT s.stream FROM aside s JOIN unable u USING (home, worker) LIMIT at_once)),
    freed AS (
        UPDATE job_affinities a SET home = NULL, worker = NULL FROM back b WHERE a.stream = b.stream)
    -- Long due, so that they are the first to be moved.
    UPDATE waiting w SET reason = 'delayed', due_at = at - interval '1 year' FROM back b WHERE w.stream = b.stream;
    IF FOUND THEN PERFORM move_due(at_once); END IF;
END $$;

-- Puts the jobs at the heads of a claim's lanes aside that another worker is warm for, until none of them is one. Where there
-- are more than the append lock should be kept for, the rest is anybody's.
CREATE FUNCTION put_warm_aside(claim claim_to_serve, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gone  text[];
    freed freed_slot[];
    lane  record;
BEGIN
    FOR round IN 1..20 LOOP
        WITH heads AS MATERIALIZED (
            SELECT r.stream, r.rank, r.tag, r.position, k.home, k.worker, k.room
              FROM (SELECT DISTINCT k.tenant FROM warm_keys k
                     WHERE CASE WHEN claim.pool IS NULL THEN k.tenant = claim.tenant
                           ELSE claim.tenants = '{*}' OR k.tenant = ANY (claim.tenants) END) AS t
             CROSS JOIN unnest(claim.queues) AS q(queue)
             CROSS JOIN LATERAL (SELECT r.stream, r.key, r.rank, r.tag, r.position FROM ready r
                                  WHERE r.tenant = t.tenant AND r.queue = q.queue
                                  ORDER BY r.rank, r.tag, r.position LIMIT claim.slots + 20) AS r
              JOIN job_affinities a ON a.stream = r.stream AND (a.until IS NULL OR a.until > at)
              JOIN warm_keys k ON k.tenant = t.tenant AND k.queue = q.queue AND k.key = r.key
             WHERE (k.home, k.worker) <> (claim.tenant, claim.worker)),
        kept AS (
            SELECT p.home, p.worker, room_of(p.home, p.worker, p.room, at) AS room
              FROM (SELECT h.home, h.worker, max(h.room) AS room FROM heads h GROUP BY 1, 2) AS p),
        first AS (
            SELECT h.*, row_number() OVER (PARTITION BY h.home, h.worker ORDER BY h.rank, h.tag, h.position) AS turn
              FROM heads h),
        aside AS (
            UPDATE job_affinities a
               SET home = f.home, worker = f.worker, until = coalesce(a.until, at + make_interval(secs => a.seconds))
              FROM first f JOIN kept k USING (home, worker)
             WHERE a.stream = f.stream AND f.turn <= k.room
            RETURNING a.stream)
        SELECT array_agg(s.stream) INTO gone FROM aside s;
        EXIT WHEN gone IS NULL;
        INSERT INTO waiting (stream, tenant, job_id, queue, rank, tag, position, version, attempt, task, due_at, reason,
                             company, correlation_id, traceparent, name, key, priority)
        SELECT r.stream, r.tenant, r.job_id, r.queue, r.rank, r.tag, r.position, r.version, r.attempt, r.task, a.until,
               'affinity', r.company, r.correlation_id, r.traceparent, r.name, r.key, r.priority
          FROM ready r JOIN job_affinities a USING (stream) WHERE r.stream = ANY (gone);
        freed := leave_places(gone, '{}', '{}');
        FOR lane IN
            SELECT f.tenant, f.queue, array_agg(f.slot) AS slots FROM unnest(freed) AS f GROUP BY 1, 2 ORDER BY 1, 2
        LOOP
            PERFORM enter_queue(lane.tenant, lane.queue, lane.slots, at);
        END LOOP;
    END LOOP;
END $$;

-- Notes which keys a worker is warm for from now on, after its claim was granted something.
CREATE FUNCTION note_warm(claim claim_to_serve, picked granted_job[], at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH started AS (
        DELETE FROM job_affinities a USING unnest(picked) AS p WHERE a.stream = p.stream RETURNING a.stream)
    INSERT INTO warm_keys AS k (tenant, queue, key, home, worker, room, used_at)
    SELECT DISTINCT l.tenant, l.queue, l.key, claim.tenant, claim.worker,
           claim.slots - cardinality(picked) + (SELECT count(*) FROM leases r WHERE r.worker = claim.worker)::int, at
      FROM started s JOIN leases l ON l.stream = s.stream
        ON CONFLICT (tenant, queue, key) DO UPDATE
       SET home = excluded.home, worker = excluded.worker, room = excluded.room, used_at = excluded.used_at;
END $$;

-- As before, and for jobs that prefer a worker.
-- The rows of the inline projections that follow from the events of a batch, whose positions begin after `base`.
CREATE OR REPLACE FUNCTION place_work(
    base bigint, gone_ready text[], gone_waiting text[], gone_leases text[], work work_to_place[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    freed  freed_slot[];
    lane   record;
    at     timestamptz;
    shaped boolean;
BEGIN
    freed := leave_places(gone_ready, gone_waiting, gone_leases);
    IF EXISTS (SELECT FROM job_affinities) THEN
        DELETE FROM job_affinities a WHERE a.stream = ANY (gone_ready) OR a.stream = ANY (gone_waiting);
    END IF;
    IF cardinality(work) > 0 THEN
        IF EXISTS (SELECT FROM unnest(work) AS w WHERE w.place IN ('rules', 'same', 'circuit')) THEN
            PERFORM apply_circuit(w.tenant, w.name, w.task::jsonb)
               FROM unnest(work) AS w WHERE w.place = 'circuit';
            PERFORM apply_rule(w.tenant, w.queue, w.task::jsonb, clock_timestamp())
               FROM unnest(work) AS w WHERE w.place = 'rules';
            UPDATE dependents d SET work = d.work || jsonb_build_object('task', w.task, 'version', w.version)
              FROM unnest(place_work.work) AS w WHERE w.place = 'same' AND d.stream = w.stream;
            UPDATE ready r SET task = w.task, version = w.version
              FROM unnest(work) AS w WHERE w.place = 'same' AND r.stream = w.stream;
            UPDATE waiting r SET task = w.task, version = w.version
              FROM unnest(work) AS w WHERE w.place = 'same' AND r.stream = w.stream;
        END IF;
        -- A job that waits for others stays there, as the row that it will have.
        IF EXISTS (SELECT FROM dependents) THEN
            WITH kept AS (
                UPDATE dependents d SET work = d.work || (to_jsonb(w) - 'last_event')
                  FROM unnest(place_work.work) AS w
                 WHERE d.stream = w.stream AND w.place IN ('ready', 'waiting') RETURNING d.stream)
            SELECT coalesce(array_agg(w), '{}') INTO work
              FROM unnest(work) AS w WHERE w.stream NOT IN (SELECT k.stream FROM kept k);
        END IF;
        IF EXISTS (SELECT FROM queue_defaults) THEN
            PERFORM apply_rule(w.tenant, w.queue, d.rule, clock_timestamp())
               FROM (SELECT DISTINCT w.tenant, w.queue FROM unnest(work) AS w) AS w JOIN queue_defaults d USING (queue)
              WHERE NOT EXISTS (SELECT FROM queue_rules r WHERE r.tenant = w.tenant AND r.queue = w.queue);
        END IF;
        IF EXISTS (SELECT FROM unnest(work) AS w WHERE w.affinity IS NOT NULL) THEN
            INSERT INTO job_affinities (stream, seconds)
            SELECT w.stream, w.affinity FROM unnest(work) AS w WHERE w.affinity IS NOT NULL AND w.place IN ('ready', 'waiting')
                ON CONFLICT (stream) DO UPDATE SET seconds = excluded.seconds, until = NULL, home = NULL, worker = NULL;
        END IF;
        shaped := EXISTS (SELECT FROM queue_rules r WHERE r.shaped);
        INSERT INTO ready (stream, tenant, job_id, queue, rank, position, version, attempt, task, company, correlation_id,
                           traceparent, name, key, priority)
        SELECT w.stream, w.tenant, w.job_id, w.queue, w.rank, base + w.last_event, w.version, w.attempt, w.task, w.company,
               w.correlation_id, w.traceparent, w.name, w.key, w.priority
          FROM unnest(work) AS w
         WHERE w.place = 'ready' AND (NOT shaped OR NOT EXISTS (
               SELECT FROM queue_rules r
                WHERE r.tenant = w.tenant AND r.queue = w.queue AND r.shaped));
        INSERT INTO waiting (stream, tenant, job_id, queue, rank, position, version, attempt, task, due_at, company,
                             correlation_id, traceparent, name, key, priority, reason)
        SELECT w.stream, w.tenant, w.job_id, w.queue, w.rank, base + w.last_event, w.version, w.attempt, w.task,
               coalesce(w.due_at, 'infinity'), w.company, w.correlation_id, w.traceparent, w.name, w.key, w.priority,
               CASE w.place WHEN 'ready' THEN 'entering' ELSE 'delayed' END
          FROM unnest(work) AS w
         WHERE w.place = 'waiting' OR (shaped AND w.place = 'ready' AND EXISTS (
               SELECT FROM queue_rules r
                WHERE r.tenant = w.tenant AND r.queue = w.queue AND r.shaped));
    END IF;
    IF NOT coalesce(shaped, cardinality(freed) > 0) THEN RETURN; END IF;
    at := clock_timestamp();
    FOR lane IN
        SELECT x.tenant, x.queue, coalesce(array_agg(x.slot) FILTER (WHERE x.slot IS NOT NULL), '{}') AS slots
          FROM (SELECT f.tenant, f.queue, f.slot FROM unnest(freed) AS f UNION
                SELECT w.tenant, w.queue, NULL FROM unnest(work) AS w JOIN queue_rules r USING (tenant, queue)
                 WHERE w.place = 'ready') AS x
         GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        PERFORM enter_queue(lane.tenant, lane.queue, lane.slots, at);
    END LOOP;
END $$;

-- As before, and for jobs that prefer a worker.
CREATE OR REPLACE FUNCTION serve_claims(
    claims claim_to_serve[], grant_lease interval, grant_bytes int, id_prefix text, first_id int,
    OUT granted granted_job[], OUT stopped int[], OUT base bigint, OUT at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    claim  claim_to_serve;
    picked granted_job[];
    -- Where the last claim found nothing, the next one of the same queues need not look.
    dry_tenant text;
    dry_queues text[];
    dry_pool   text;
    ruled  boolean := EXISTS (SELECT FROM queue_rules);
    broken boolean := EXISTS (SELECT FROM circuits WHERE state <> 'closed');
    choosy boolean := EXISTS (SELECT FROM job_affinities);
    open   text[];
    newest granted_tag[];
BEGIN
    granted := '{}';
    stopped := '{}';
    at := clock_timestamp();
    FOREACH claim IN ARRAY claims LOOP
        IF EXISTS (SELECT FROM workers w WHERE w.tenant = claim.tenant AND w.worker = claim.worker AND w.stopped) THEN
            stopped := stopped || claim.ord;
            CONTINUE;
        END IF;
        CONTINUE WHEN NOT choosy AND dry_tenant = claim.tenant AND dry_queues = claim.queues AND dry_pool IS NOT DISTINCT FROM claim.pool;
        IF choosy THEN PERFORM take_back_warm(claim, at), put_warm_aside(claim, at); END IF;
        IF broken THEN CONTINUE WHEN NOT set_broken_aside(claim, at); END IF;
        IF claim.pool IS NOT NULL THEN
            SELECT p.picked, p.newest INTO picked, newest FROM take_of_pool(claim, ruled, grant_bytes, grant_lease, at) AS p;
        ELSE
            open := claim.queues;
            IF ruled THEN
                open := array(SELECT q.queue FROM unnest(claim.queues) AS q(queue) WHERE NOT EXISTS (
                    SELECT FROM queue_rules r WHERE r.tenant = claim.tenant AND r.queue = q.queue AND (r.paused OR r.settling > 0)));
            END IF;
            WITH heads AS (
                SELECT head.*
                  FROM unnest(open) AS q(queue)
                 CROSS JOIN LATERAL (SELECT r.stream, r.rank, r.tag, r.position, octet_length(r.task) AS size FROM ready r
                                      WHERE r.tenant = claim.tenant AND r.queue = q.queue
                                      ORDER BY r.rank, r.tag, r.position LIMIT claim.slots) AS head
                 ORDER BY head.rank, head.tag, head.position LIMIT claim.slots),
            sized AS (
                SELECT h.stream, sum(h.size) OVER (ORDER BY h.rank, h.tag, h.position) - h.size AS before FROM heads h),
            taken AS (
                DELETE FROM ready r WHERE r.stream IN (SELECT s.stream FROM sized s WHERE s.before < grant_bytes)
                RETURNING r.*),
            leased AS (
                INSERT INTO leases (stream, tenant, job_id, attempt, worker, expires_at, queue, name, key)
                SELECT t.stream, t.tenant, t.job_id, t.attempt, claim.worker, at + grant_lease, t.queue, t.name, t.key
                  FROM taken t)
            SELECT array_agg(ROW (claim.ord, t.stream, t.tenant, t.job_id, t.version, t.attempt, t.task, t.company,
                                  t.correlation_id, t.traceparent)::granted_job ORDER BY t.rank, t.tag, t.position),
                   array_agg(ROW (t.queue, t.tag, t.tenant)::granted_tag) FILTER (WHERE t.tag > 0)
              INTO picked, newest FROM taken t;
        END IF;
        IF picked IS NULL THEN
            dry_tenant := claim.tenant;
            dry_queues := claim.queues;
            dry_pool := claim.pool;
        ELSE
            granted := granted || picked;
            IF broken THEN PERFORM use_trials(picked); END IF;
            IF choosy THEN PERFORM note_warm(claim, picked, at); END IF;
        END IF;
        IF newest IS NOT NULL THEN
            UPDATE queue_rules r SET vtime = n.tag
              FROM (SELECT t.tenant, t.queue, max(t.tag) AS tag FROM unnest(newest) AS t GROUP BY 1, 2) AS n
             WHERE r.tenant = n.tenant AND r.queue = n.queue AND r.vtime < n.tag;
        END IF;
    END LOOP;
    IF cardinality(granted) = 0 THEN RETURN; END IF;
    IF ruled THEN
        UPDATE queue_slots s
           SET held = s.held - g.n, running = s.running + g.n,
               tat = CASE WHEN g.spacing IS NOT NULL
                          THEN greatest(s.tat, at) + make_interval(secs => g.n * g.spacing) END,
               due_at = CASE WHEN g.spacing IS NOT NULL THEN
                             greatest(s.tat, at) + make_interval(secs => (s.held + 1 - g.burst) * g.spacing) END
          FROM (SELECT l.tenant, l.queue, slot_of(l, e.name, e.key) AS slot, count(*)::int AS n, max(l.spacing) AS spacing,
                       max(l.burst) AS burst
                  FROM unnest(granted) AS t JOIN leases e ON e.stream = t.stream
                  JOIN queue_limits l ON l.tenant = e.tenant AND l.queue = e.queue
                 GROUP BY 1, 2, 3) AS g
         WHERE s.tenant = g.tenant AND s.queue = g.queue AND s.slot = g.slot;
    END IF;
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

-- As before, and the workers of keys that have had no job for an hour.
CREATE OR REPLACE FUNCTION tidy_queues() RETURNS void LANGUAGE sql AS $$
    DELETE FROM queue_slots
     WHERE held = 0 AND running = 0 AND slot LIKE 'key:%' AND (tat IS NULL OR tat < clock_timestamp());
    DELETE FROM queue_keys k USING queue_rules r
     WHERE r.tenant = k.tenant AND r.queue = k.queue AND (k.tag <= r.vtime OR r.ordering <> 'fair');
    DELETE FROM pool_shares s USING pool_shares v
     WHERE v.pool = s.pool AND v.tenant = '' AND s.tenant <> ''
       AND (s.pass <= v.pass OR v.used_at < clock_timestamp() - interval '1 hour');
    DELETE FROM pool_shares s
     WHERE s.tenant = '' AND s.used_at < clock_timestamp() - interval '1 hour'
       AND NOT EXISTS (SELECT FROM pool_shares o WHERE o.pool = s.pool AND o.tenant <> '');
    DELETE FROM circuit_counts WHERE ended_at < clock_timestamp() - interval '2 hours';
    DELETE FROM warm_keys WHERE used_at < clock_timestamp() - interval '1 hour';
$$;
