-- Pools of workers that serve several tenants: one claim takes jobs of all of them, in turn and by weight.
--
-- Start-time fair queueing: `pass` is where a tenant's next job would start if the tenants of the pool had one server for
-- each unit of weight. The job that starts first there is granted first, and `pass` grows by 1 / weight with each. A tenant
-- without jobs uses nothing and saves nothing: it comes back at the pool's own time, the start of the newest grant, which
-- is the row of the tenant "". A pool is the claims of the same tenants and queues.
CREATE TABLE pool_shares (
    pool    text             NOT NULL,
    tenant  text             NOT NULL,
    pass    double precision NOT NULL,
    used_at timestamptz      NOT NULL,
    PRIMARY KEY (pool, tenant)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- What the configuration file says of tenants; 1 where it says nothing.
CREATE TABLE tenant_weights (
    tenant text             PRIMARY KEY,
    weight double precision NOT NULL CHECK (weight > 0)
);

ALTER TYPE claim_to_serve ADD ATTRIBUTE tenants text[], ADD ATTRIBUTE pool text;
ALTER TYPE granted_tag ADD ATTRIBUTE tenant text;

-- Whether jobs of the queue may start.
CREATE FUNCTION is_open(the_tenant text, the_queue text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT FROM queue_rules r
                        WHERE r.tenant = the_tenant AND r.queue = the_queue AND (r.paused OR r.settling > 0))
$$;

-- The tenants among those of a pool's claim that have something ready, each with where it starts; no more than can get
-- anything. "*" stands for all, which are found by one step in the index for each.
CREATE FUNCTION pool_turns(claim claim_to_serve, ruled boolean)
RETURNS TABLE (tenant text, start float8, step float8) LANGUAGE sql STABLE AS $$
    WITH RECURSIVE every (tenant) AS (
        (SELECT r.tenant FROM ready r WHERE claim.tenants = '{*}' ORDER BY r.tenant LIMIT 1)
        UNION ALL
        SELECT n.tenant FROM every e
         CROSS JOIN LATERAL (SELECT r.tenant FROM ready r WHERE r.tenant > e.tenant ORDER BY r.tenant LIMIT 1) AS n)
    SELECT p.tenant, greatest(s.pass, v.pass, 0), 1 / coalesce(w.weight, 1)
      FROM (SELECT e.tenant FROM every e UNION ALL
            SELECT t.tenant FROM unnest(claim.tenants) AS t(tenant) WHERE claim.tenants <> '{*}') AS p
     CROSS JOIN LATERAL (
            SELECT FROM unnest(claim.queues) AS q(queue)
             CROSS JOIN LATERAL (SELECT FROM ready r WHERE r.tenant = p.tenant AND r.queue = q.queue
                                 ORDER BY r.rank LIMIT 1) AS one
             WHERE NOT ruled OR is_open(p.tenant, q.queue) LIMIT 1) AS something
      LEFT JOIN pool_shares s ON s.pool = claim.pool AND s.tenant = p.tenant
      LEFT JOIN pool_shares v ON v.pool = claim.pool AND v.tenant = ''
      LEFT JOIN tenant_weights w ON w.tenant = p.tenant
     ORDER BY 2, 1 LIMIT claim.slots
$$;

-- Takes the jobs of a pool's claim, notes how far each tenant has got with it, and returns them in the order granted.
CREATE FUNCTION take_of_pool(claim claim_to_serve, ruled boolean, grant_bytes int, grant_lease interval, at timestamptz,
    OUT picked granted_job[], OUT newest granted_tag[]
) LANGUAGE plpgsql AS $$
BEGIN
    WITH heads AS (
        SELECT h.*, t.step,
               t.start + t.step * (row_number() OVER (PARTITION BY t.tenant ORDER BY h.rank, h.tag, h.position) - 1) AS start
          FROM pool_turns(claim, ruled) t
         CROSS JOIN LATERAL (
               SELECT one.* FROM unnest(claim.queues) AS q(queue)
                CROSS JOIN LATERAL (SELECT r.stream, r.tenant, r.rank, r.tag, r.position, octet_length(r.task) AS size
                                      FROM ready r WHERE r.tenant = t.tenant AND r.queue = q.queue
                                     ORDER BY r.rank, r.tag, r.position LIMIT claim.slots) AS one
                WHERE NOT ruled OR is_open(t.tenant, q.queue)
                ORDER BY one.rank, one.tag, one.position LIMIT claim.slots) AS h),
    firsts AS (
        SELECT h.*, row_number() OVER (ORDER BY h.start, h.tenant, h.rank, h.tag, h.position) AS turn
          FROM heads h ORDER BY turn LIMIT claim.slots),
    sized AS (
        SELECT f.*, sum(f.size) OVER (ORDER BY f.turn) - f.size AS before FROM firsts f),
    taken AS (
        DELETE FROM ready r WHERE r.stream IN (SELECT s.stream FROM sized s WHERE s.before < grant_bytes) RETURNING r.*),
    turned AS (
        SELECT t.*, s.turn, s.start, s.step FROM taken t JOIN sized s USING (stream)),
    leased AS (
        INSERT INTO leases (stream, tenant, job_id, attempt, worker, expires_at, queue, name, key)
        SELECT t.stream, t.tenant, t.job_id, t.attempt, claim.worker, at + grant_lease, t.queue, t.name, t.key
          FROM turned t),
    noted AS (
        INSERT INTO pool_shares (pool, tenant, pass, used_at)
        SELECT claim.pool, t.tenant, max(t.start + t.step), at FROM turned t GROUP BY t.tenant UNION ALL
        SELECT claim.pool, '', max(t.start), at FROM turned t HAVING count(*) > 0
        ON CONFLICT (pool, tenant) DO UPDATE SET pass = excluded.pass, used_at = excluded.used_at)
    SELECT array_agg(ROW (claim.ord, t.stream, t.tenant, t.job_id, t.version, t.attempt, t.task, t.company,
                          t.correlation_id, t.traceparent)::granted_job ORDER BY t.turn),
           array_agg(ROW (t.queue, t.tag, t.tenant)::granted_tag) FILTER (WHERE t.tag > 0)
      INTO picked, newest FROM turned t;
END $$;

-- As before, and for pools.
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

-- As before, and what pools keep of tenants that have nothing saved up, and of pools that are not asked for any more.
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
$$;

-- The weights that the configuration file gives to tenants. Runs under the append lock.
CREATE FUNCTION weigh_tenants(weights jsonb) RETURNS void LANGUAGE sql AS $$
    DELETE FROM tenant_weights t WHERE NOT weights ? t.tenant;
    INSERT INTO tenant_weights AS t (tenant, weight) SELECT w.key, w.value::float8 FROM jsonb_each_text(weights) AS w
    ON CONFLICT (tenant) DO UPDATE SET weight = excluded.weight WHERE t.weight <> excluded.weight;
$$;

-- Who a worker of a pool belongs to; it is seen by each tenant that it serves, as a row of that tenant or of "*".
ALTER TABLE workers ADD pool text;
