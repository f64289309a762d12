-- `place_work`, the mover and `serve_claims`, for queues with rules and for those without.

CREATE TYPE freed_slot AS (tenant text, queue text, slot text);

-- Removes the rows of jobs that have left their places, and frees the slots that these jobs had.
CREATE FUNCTION leave_places(gone_ready text[], gone_waiting text[], gone_leases text[]) RETURNS freed_slot[]
LANGUAGE plpgsql AS $$
DECLARE
    freed freed_slot[];
BEGIN
    IF NOT EXISTS (SELECT FROM queue_limits) THEN
        IF cardinality(gone_ready) > 0 THEN DELETE FROM ready WHERE stream = ANY (gone_ready); END IF;
        IF cardinality(gone_waiting) > 0 THEN DELETE FROM waiting WHERE stream = ANY (gone_waiting); END IF;
        IF cardinality(gone_leases) > 0 THEN DELETE FROM leases WHERE stream = ANY (gone_leases); END IF;
        RETURN '{}';
    END IF;
    WITH left_ready AS (DELETE FROM ready WHERE stream = ANY (gone_ready) RETURNING *),
    left_waiting AS (DELETE FROM waiting WHERE stream = ANY (gone_waiting) RETURNING *),
    left_leases AS (DELETE FROM leases WHERE stream = ANY (gone_leases) RETURNING *),
    gone AS (
        SELECT tenant, queue, name, key, 4 AS standing, 1 AS held, 0 AS running FROM left_ready UNION ALL
        SELECT tenant, queue, name, key, stage_of(slot), 1, 0 FROM left_waiting WHERE slot IS NOT NULL UNION ALL
        SELECT tenant, queue, name, key, 4, 0, 1 FROM left_leases),
    losses AS (
        SELECT l.tenant, l.queue, slot_of(l, g.name, g.key) AS slot, sum(g.held) AS held, sum(g.running) AS running
          FROM gone g JOIN queue_limits l ON l.tenant = g.tenant AND l.queue = g.queue AND l.stage < g.standing
         GROUP BY 1, 2, 3),
    emptied AS (
        UPDATE queue_slots s SET held = s.held - x.held, running = s.running - x.running
          FROM losses x WHERE s.tenant = x.tenant AND s.queue = x.queue AND s.slot = x.slot
        RETURNING s.tenant, s.queue, s.slot)
    SELECT coalesce(array_agg(ROW (e.tenant, e.queue, e.slot)::freed_slot), '{}') INTO freed FROM emptied e;
    RETURN freed;
END $$;

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
        IF EXISTS (SELECT FROM unnest(work) AS w WHERE w.place IN ('rules', 'same')) THEN
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

-- Moves waiting jobs that are due, and those whose limit allows another start by now. Runs under the append lock.
CREATE FUNCTION move_due(most int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    due   text[];
    lanes freed_slot[];
    lane  record;
    at    timestamptz := clock_timestamp();
BEGIN
    SELECT array_agg(d.stream) INTO due
      FROM (SELECT w.stream FROM waiting w WHERE w.due_at <= at ORDER BY w.due_at LIMIT most) AS d;
    WITH entering AS (
        UPDATE waiting w SET reason = 'entering', due_at = 'infinity'
          FROM queue_rules r
         WHERE w.stream = ANY (due) AND r.tenant = w.tenant AND r.queue = w.queue AND r.shaped
        RETURNING w.tenant, w.queue, NULL::text AS slot)
    SELECT array_agg(DISTINCT ROW (e.tenant, e.queue, e.slot)::freed_slot) INTO lanes
      FROM (SELECT tenant, queue, slot FROM entering UNION ALL
            SELECT s.tenant, s.queue, s.slot FROM queue_slots s WHERE s.due_at <= at) AS e;
    WITH moved AS (DELETE FROM waiting w WHERE w.stream = ANY (due) AND w.reason <> 'entering' RETURNING *)
    INSERT INTO ready (stream, tenant, job_id, queue, rank, position, version, attempt, task, company, correlation_id,
                       traceparent, name, key, priority)
    SELECT stream, tenant, job_id, queue, rank, position, version, attempt, task, company, correlation_id, traceparent, name, key,
           priority FROM moved;
    PERFORM settle_queue(r.tenant, r.queue, at) FROM queue_rules r WHERE r.settling > 0;
    FOR lane IN
        SELECT l.tenant, l.queue, coalesce(array_agg(l.slot) FILTER (WHERE l.slot IS NOT NULL), '{}') AS slots
          FROM unnest(lanes) AS l GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        PERFORM enter_queue(lane.tenant, lane.queue, lane.slots, at);
    END LOOP;
END $$;

CREATE TYPE granted_tag AS (queue text, tag float8);

-- Grants ready jobs to claims, in order: each becomes a lease and a `job.started`, which is written here as the event
-- mapper would write it. Runs under the append lock, after the appends, and sees what they have made ready.
-- `stopped` has the claims of workers that have withdrawn.
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
    ruled  boolean := EXISTS (SELECT FROM queue_rules);
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
        CONTINUE WHEN dry_tenant = claim.tenant AND dry_queues = claim.queues;
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
               array_agg(ROW (t.queue, t.tag)::granted_tag) FILTER (WHERE t.tag > 0)
          INTO picked, newest FROM taken t;
        IF picked IS NULL THEN
            dry_tenant := claim.tenant;
            dry_queues := claim.queues;
        ELSE
            granted := granted || picked;
        END IF;
        IF newest IS NOT NULL THEN
            UPDATE queue_rules r SET vtime = n.tag
              FROM (SELECT t.queue, max(t.tag) AS tag FROM unnest(newest) AS t GROUP BY 1) AS n
             WHERE r.tenant = claim.tenant AND r.queue = n.queue AND r.vtime < n.tag;
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
