-- Circuit breakers. A name whose circuit is not closed may start no job, or only some on trial. Nothing is looked at for it
-- when jobs come in: a claim that finds such jobs at the head of a lane puts them into `waiting`, each once, and there they
-- stay until the circuit lets them through.
CREATE TABLE circuits (
    tenant text        NOT NULL,
    name   text        NOT NULL,
    state  text        NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    reason text,
    until  timestamptz,
    -- What may still start on trial.
    trials int         NOT NULL DEFAULT 0,
    policy jsonb       NOT NULL,
    -- When the state changed last; what was counted before does not count any more.
    since  timestamptz NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- How attempts have ended, by second; those of circuits that are not closed by the exact time of their start.
CREATE TABLE circuit_counts (
    tenant     text        NOT NULL,
    name       text        NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,
    completed  int,
    failed     int,
    PRIMARY KEY (tenant, name, ended_at, started_at)
);
CREATE INDEX waiting_circuit_idx ON waiting (tenant, name, rank, tag, position) WHERE reason = 'circuit_open';

-- Makes a circuit what its newest event says. Runs under the append lock.
CREATE FUNCTION apply_circuit(the_tenant text, the_name text, told jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO circuits AS c (tenant, name, state, reason, until, trials, policy, since)
    VALUES (the_tenant, the_name, told ->> 'state', told ->> 'reason', (told ->> 'until')::timestamptz,
            (told -> 'policy' ->> 'probes')::int, told -> 'policy',
            CASE told ->> 'state' WHEN 'closed' THEN '-infinity' ELSE clock_timestamp() END)
    ON CONFLICT (tenant, name) DO UPDATE
       SET state = excluded.state, reason = excluded.reason, until = excluded.until, trials = excluded.trials,
           policy = excluded.policy, since = CASE WHEN c.state = excluded.state THEN c.since ELSE clock_timestamp() END
$$;

-- Has jobs that wait for a circuit which lets them through become due: as many as may start on trial, or all, some at a
-- time. Trials that ended without an outcome, such as jobs handed back, may be tried again. Runs under the append lock.
CREATE FUNCTION let_through() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at_once constant int := 2000;
BEGIN
    UPDATE circuits c SET trials = (c.policy ->> 'probes')::int
     WHERE c.state = 'half_open' AND c.trials <= 0
       AND NOT EXISTS (SELECT FROM leases l WHERE l.tenant = c.tenant AND l.name = c.name);
    UPDATE waiting w SET reason = 'delayed', due_at = clock_timestamp()
      FROM (SELECT n.stream FROM circuits c
             CROSS JOIN LATERAL (
                   SELECT w.stream FROM waiting w
                    WHERE w.reason = 'circuit_open' AND w.tenant = c.tenant AND w.name = c.name
                    ORDER BY w.rank, w.tag, w.position
                    LIMIT CASE c.state WHEN 'closed' THEN at_once WHEN 'half_open' THEN greatest(c.trials, 0) ELSE 0 END) AS n
             LIMIT at_once) AS free
     WHERE w.stream = free.stream;
END $$;

-- Puts the jobs at the heads of a claim's lanes aside that their circuit keeps from starting, until none of them is one.
-- Returns false where there are more than the append lock should be kept for; then the claim has to look again.
CREATE FUNCTION set_broken_aside(claim claim_to_serve, at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    at_once constant int := 500;
    gone    text[];
    freed   freed_slot[];
    lane    record;
BEGIN
    FOR round IN 1..20 LOOP
        SELECT array_agg(h.stream) INTO gone
          FROM (SELECT r.*, c.state, c.trials,
                       row_number() OVER (PARTITION BY r.tenant, r.name ORDER BY r.rank, r.tag, r.position) AS turn
                  FROM (SELECT DISTINCT b.tenant FROM circuits b
                         WHERE b.state <> 'closed' AND CASE WHEN claim.pool IS NULL THEN b.tenant = claim.tenant
                               ELSE claim.tenants = '{*}' OR b.tenant = ANY (claim.tenants) END) AS t
                 CROSS JOIN unnest(claim.queues) AS q(queue)
                 CROSS JOIN LATERAL (SELECT r.stream, r.tenant, r.name, r.rank, r.tag, r.position FROM ready r
                                      WHERE r.tenant = t.tenant AND r.queue = q.queue
                                      ORDER BY r.rank, r.tag, r.position LIMIT greatest(claim.slots, at_once)) AS r
                  JOIN circuits c ON c.tenant = r.tenant AND c.name = r.name AND c.state <> 'closed') AS h
         WHERE h.state = 'open' OR h.turn > h.trials;
        IF gone IS NULL THEN RETURN true; END IF;
        INSERT INTO waiting (stream, tenant, job_id, queue, rank, tag, position, version, attempt, task, due_at, reason,
                             company, correlation_id, traceparent, name, key, priority)
        SELECT stream, tenant, job_id, queue, rank, tag, position, version, attempt, task, 'infinity', 'circuit_open',
               company, correlation_id, traceparent, name, key, priority FROM ready WHERE stream = ANY (gone);
        freed := leave_places(gone, '{}', '{}');
        FOR lane IN
            SELECT f.tenant, f.queue, array_agg(f.slot) AS slots FROM unnest(freed) AS f GROUP BY 1, 2 ORDER BY 1, 2
        LOOP
            PERFORM enter_queue(lane.tenant, lane.queue, lane.slots, at);
        END LOOP;
    END LOOP;
    RETURN false;
END $$;

-- Notes what has been granted of names that start jobs on trial.
CREATE FUNCTION use_trials(picked granted_job[]) RETURNS void LANGUAGE sql AS $$
    UPDATE circuits c SET trials = c.trials - n.number
      FROM (SELECT l.tenant, l.name, count(*)::int AS number FROM unnest(picked) AS p JOIN leases l ON l.stream = p.stream
             GROUP BY 1, 2) AS n
     WHERE c.tenant = n.tenant AND c.name = n.name AND c.state = 'half_open'
$$;

-- As before, and for circuits.
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

-- As before, and for circuits.
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
        CONTINUE WHEN dry_tenant = claim.tenant AND dry_queues = claim.queues AND dry_pool IS NOT DISTINCT FROM claim.pool;
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

-- As before, and what is too old to count for any circuit.
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
$$;
