-- What comes into a queue with rules, and what happens when its rules change. All of it runs under the append lock.

-- Ranks the jobs that have just come into the queue, and makes those ready that no limit keeps back. `slots` are those
-- that have become free.
CREATE FUNCTION enter_queue(the_tenant text, the_queue text, slots text[], at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    rule    queue_rules;
    entered text[];
    one     text;
BEGIN
    SELECT * INTO rule FROM queue_rules r WHERE r.tenant = the_tenant AND r.queue = the_queue;
    IF rule.settling = 1 THEN RETURN; END IF;
    WITH arrived AS (
        SELECT w.stream, w.key, w.name, w.priority, w.position FROM waiting w
         WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.reason = 'entering' ORDER BY w.position LIMIT 2000),
    entering AS (
        SELECT w.stream, coalesce(w.key, '') AS key, w.name, w.key AS own_key,
               row_number() OVER (PARTITION BY w.key ORDER BY w.priority DESC, w.position) AS turn
          FROM arrived w),
    tagged AS (
        SELECT e.*, CASE WHEN rule.ordering = 'fair' THEN
                    greatest(rule.vtime, k.tag) + e.turn / coalesce((rule.weights ->> e.key)::float8, 1.0) ELSE 0 END AS tag
          FROM entering e
          LEFT JOIN queue_keys k ON k.tenant = the_tenant AND k.queue = the_queue AND k.key = e.key),
    noted AS (
        INSERT INTO queue_keys AS k (tenant, queue, key, tag)
        SELECT the_tenant, the_queue, t.key, max(t.tag) FROM tagged t WHERE rule.ordering = 'fair' GROUP BY t.key
        ON CONFLICT (tenant, queue, key) DO UPDATE SET tag = excluded.tag),
    standing AS (
        UPDATE waiting w
           SET tag = t.tag, slot = n.slot, reason = coalesce(n.reason, 'admitted'),
               rank = CASE WHEN rule.ordering = 'aging' THEN extract(epoch FROM at)::float8 - w.priority * rule.aging
                           ELSE -w.priority END
          FROM tagged t LEFT JOIN LATERAL next_slot(the_tenant, the_queue, t.name, t.own_key, 0) n ON true
         WHERE w.stream = t.stream RETURNING w.slot)
    SELECT coalesce(array_agg(DISTINCT s.slot) FILTER (WHERE s.slot IS NOT NULL), '{}') INTO entered FROM standing s;
    entered := entered || slots;
    FOR stage_ IN 1..3 LOOP
        FOR one IN SELECT DISTINCT e.slot FROM unnest(entered) AS e(slot) WHERE stage_of(e.slot) = stage_ ORDER BY 1 LOOP
            entered := entered || fill_slot(the_tenant, the_queue, one, at);
        END LOOP;
    END LOOP;
    WITH admitted AS (
        DELETE FROM waiting w WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.reason = 'admitted' RETURNING *)
    INSERT INTO ready (stream, tenant, job_id, queue, rank, tag, position, version, attempt, task, company,
                       correlation_id, traceparent, name, key, priority, limited)
    SELECT stream, tenant, job_id, queue, rank, tag, position, version, attempt, task, company, correlation_id, traceparent,
           name, key, priority, coalesce(rule.limited, false) FROM admitted;
END $$;

-- Goes on placing the jobs of a queue anew, as many as the append lock can be kept for.
CREATE FUNCTION settle_queue(the_tenant text, the_queue text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at_once constant int := 2000;
    moved   int;
    loose   int;
BEGIN
    IF (SELECT r.settling FROM queue_rules r WHERE r.tenant = the_tenant AND r.queue = the_queue) = 1 THEN
        WITH gone AS (
            DELETE FROM ready WHERE stream IN (
                SELECT r.stream FROM ready r WHERE r.tenant = the_tenant AND r.queue = the_queue LIMIT at_once)
            RETURNING *)
        INSERT INTO waiting (stream, tenant, job_id, queue, rank, position, version, attempt, task, due_at, reason,
                             company, correlation_id, traceparent, name, key, priority)
        SELECT stream, tenant, job_id, queue, rank, position, version, attempt, task, 'infinity', 'entering',
               company, correlation_id, traceparent, name, key, priority FROM gone;
        GET DIAGNOSTICS moved = ROW_COUNT;
        UPDATE waiting SET slot = NULL, reason = 'entering' WHERE stream IN (
            SELECT w.stream FROM waiting w
             WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.slot IS NOT NULL LIMIT at_once);
        GET DIAGNOSTICS loose = ROW_COUNT;
        IF greatest(moved, loose) = at_once THEN RETURN; END IF;
        -- Now that nobody holds a slot, those that run are all that count.
        DELETE FROM queue_slots s
         WHERE s.tenant = the_tenant AND s.queue = the_queue AND NOT EXISTS (
               SELECT FROM queue_limits l WHERE l.tenant = the_tenant AND l.queue = the_queue AND l.stage = stage_of(s.slot)
                  AND (l.stage <> 2 OR l.name = substr(s.slot, 6)));
        UPDATE queue_slots s SET held = 0, running = 0, due_at = NULL
         WHERE s.tenant = the_tenant AND s.queue = the_queue;
        INSERT INTO queue_slots AS s (tenant, queue, slot, running)
        SELECT the_tenant, the_queue, slot_of(l, e.name, e.key), count(*)
          FROM queue_limits l JOIN leases e ON e.tenant = l.tenant AND e.queue = l.queue
         WHERE l.tenant = the_tenant AND l.queue = the_queue AND slot_of(l, e.name, e.key) IS NOT NULL
         GROUP BY 3
        ON CONFLICT (tenant, queue, slot) DO UPDATE SET running = excluded.running;
        UPDATE queue_rules r SET settling = 2 WHERE r.tenant = the_tenant AND r.queue = the_queue;
    END IF;
    PERFORM enter_queue(the_tenant, the_queue, '{}', at);
    IF NOT EXISTS (
        SELECT FROM waiting w WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.reason = 'entering')
    THEN
        UPDATE queue_rules r SET settling = 0 WHERE r.tenant = the_tenant AND r.queue = the_queue;
    END IF;
END $$;

-- Makes a queue's rules what `rule` says. Where its order has changed, or which limits there are, all that waits is placed
-- anew; another number is taken in where it stands.
CREATE FUNCTION apply_rule(the_tenant text, the_queue text, rule jsonb, at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    old       queue_rules;
    before    jsonb;
    limits    jsonb := rule -> 'limits';
    order_    text := rule ->> 'order';
    aging_    float8 := (rule ->> 'aging')::float8;
    reordered boolean;
BEGIN
    SELECT * INTO old FROM queue_rules r WHERE r.tenant = the_tenant AND r.queue = the_queue;
    INSERT INTO queue_rules AS r (tenant, queue, paused, ordering, aging, weights, limited, from_file)
    VALUES (the_tenant, the_queue, (rule ->> 'paused')::boolean, order_, aging_, rule -> 'weights',
            jsonb_array_length(limits) > 0, (rule ->> 'from_file')::boolean)
    ON CONFLICT (tenant, queue) DO UPDATE
       SET paused = excluded.paused, ordering = excluded.ordering, aging = excluded.aging, weights = excluded.weights,
           limited = excluded.limited, from_file = excluded.from_file;
    SELECT coalesce(jsonb_agg(jsonb_build_object('stage', l.stage, 'name', l.name, 'concurrency', l.concurrency, 'spacing',
                                                 l.spacing, 'burst', l.burst) ORDER BY l.stage, l.name), '[]')
      INTO before FROM queue_limits l WHERE l.tenant = the_tenant AND l.queue = the_queue;
    reordered := coalesce(old.ordering, 'strict') <> order_ OR (order_ = 'aging' AND old.aging <> aging_);
    IF before = limits AND NOT reordered THEN RETURN; END IF;
    DELETE FROM queue_limits l WHERE l.tenant = the_tenant AND l.queue = the_queue;
    INSERT INTO queue_limits (tenant, queue, stage, name, concurrency, spacing, burst)
    SELECT the_tenant, the_queue, l.stage, l.name, l.concurrency, l.spacing, l.burst
      FROM jsonb_to_recordset(limits) AS l(stage int, name text, concurrency int, spacing float8, burst int);
    IF NOT reordered AND old.settling = 0
       AND jsonb_path_query_array(before, '$[*].keyvalue() ? (@.key == "stage" || @.key == "name").value')
         = jsonb_path_query_array(limits, '$[*].keyvalue() ? (@.key == "stage" || @.key == "name").value')
       AND NOT EXISTS (SELECT FROM queue_slots s WHERE s.tenant = the_tenant AND s.queue = the_queue AND s.held > 1000)
    THEN
        PERFORM enter_queue(the_tenant, the_queue, array(
            SELECT s.slot FROM queue_slots s WHERE s.tenant = the_tenant AND s.queue = the_queue), at);
    ELSE
        UPDATE queue_rules r SET settling = 1 WHERE r.tenant = the_tenant AND r.queue = the_queue;
        PERFORM settle_queue(the_tenant, the_queue, at);
    END IF;
END $$;

-- Makes the defaults what the configuration file says now, in every queue that follows it. Runs under the append lock.
CREATE FUNCTION follow_file(rules jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    plain constant jsonb := '{"order": "strict", "aging": 60, "weights": {}, "limits": [], "from_file": true}';
BEGIN
    IF rules = (SELECT coalesce(jsonb_object_agg(d.queue, d.rule), '{}') FROM queue_defaults d) THEN RETURN; END IF;
    DELETE FROM queue_defaults;
    INSERT INTO queue_defaults (queue, rule) SELECT f.key, f.value FROM jsonb_each(rules) AS f;
    PERFORM apply_rule(r.tenant, r.queue,
                       coalesce(d.rule, plain) || jsonb_build_object('paused', r.paused), clock_timestamp())
       FROM queue_rules r LEFT JOIN queue_defaults d USING (queue) WHERE r.from_file;
END $$;

-- Removes what is kept of keys that have had no work for a while. Runs under the append lock.
CREATE FUNCTION tidy_queues() RETURNS void LANGUAGE sql AS $$
    DELETE FROM queue_slots
     WHERE held = 0 AND running = 0 AND slot LIKE 'key:%' AND (tat IS NULL OR tat < clock_timestamp());
    DELETE FROM queue_keys k USING queue_rules r
     WHERE r.tenant = k.tenant AND r.queue = k.queue AND (k.tag <= r.vtime OR r.ordering <> 'fair');
$$;
