-- Queues that are paused, ordered in another way than strictly, or limited. A queue without a row here is none of these,
-- and its jobs go straight into `ready`.
--
-- A job in a limited queue holds a slot of each limit that concerns it while it is in `ready` or runs. Slots are taken in one
-- order (key, name, queue): a job that waits for the next one keeps those that it has, so none is ever passed on in a
-- circle and each waiting job stands in exactly one list.
ALTER TABLE ready
    ADD name text NOT NULL DEFAULT '', ADD key text, ADD priority smallint NOT NULL DEFAULT 0,
    ADD tag double precision NOT NULL DEFAULT 0, ADD limited boolean NOT NULL DEFAULT false;
ALTER TABLE waiting
    ADD name text NOT NULL DEFAULT '', ADD key text, ADD priority smallint NOT NULL DEFAULT 0,
    ADD tag double precision NOT NULL DEFAULT 0, ADD slot text;
-- Attempts that run during the migration belong to no queue here; they count in no limit.
ALTER TABLE leases ADD queue text NOT NULL DEFAULT '', ADD name text NOT NULL DEFAULT '', ADD key text;
UPDATE ready SET name = task::json ->> 'name', priority = -rank;
UPDATE waiting SET name = task::json ->> 'name', priority = -rank;

-- Snapshots lack what jobs have now; they are made again.
DELETE FROM snapshots WHERE originator_id LIKE 'job:%';

DROP INDEX ready_lane_idx;
CREATE INDEX ready_lane_idx ON ready (tenant, queue, rank, tag, position);
CREATE INDEX ready_key_idx ON ready (tenant, queue, key, rank, tag, position) WHERE limited AND key IS NOT NULL;
CREATE INDEX ready_name_idx ON ready (tenant, queue, name, rank, tag, position) WHERE limited;
CREATE INDEX waiting_slot_idx ON waiting (tenant, queue, slot, rank, tag, position) WHERE slot IS NOT NULL;
CREATE INDEX waiting_key_idx ON waiting (tenant, queue, key, rank, tag, position)
    WHERE slot IS NOT NULL AND key IS NOT NULL AND slot NOT LIKE 'key:%';
CREATE INDEX waiting_name_idx ON waiting (tenant, queue, name, rank, tag, position) WHERE slot = 'queue:';
CREATE INDEX waiting_lane_idx ON waiting (tenant, queue, reason, position);

CREATE TABLE queue_rules (
    tenant   text             NOT NULL,
    queue    text             NOT NULL,
    paused   boolean          NOT NULL DEFAULT false,
    ordering text             NOT NULL DEFAULT 'strict',
    aging    double precision NOT NULL DEFAULT 0,
    weights  jsonb            NOT NULL DEFAULT '{}',
    limited  boolean          NOT NULL DEFAULT false,
    vtime    double precision NOT NULL DEFAULT 0,
    -- Follows the configuration file, as long as nobody has configured the queue by command.
    from_file boolean         NOT NULL DEFAULT false,
    -- After a change of order or limits the jobs are placed anew, some at a time: 1 while they leave their old places, 2
    -- while they find their new ones, 0 when that is done. Meanwhile nothing is granted.
    settling smallint         NOT NULL DEFAULT 0,
    shaped   boolean          NOT NULL GENERATED ALWAYS AS (limited OR ordering <> 'strict' OR settling > 0) STORED,
    PRIMARY KEY (tenant, queue)
) WITH (fillfactor = 70);
CREATE INDEX queue_rules_settling_idx ON queue_rules (tenant, queue) WHERE settling > 0;

-- What the configuration file says of queues, for every tenant's queue of the name that has no rules of its own.
CREATE TABLE queue_defaults (
    queue text  PRIMARY KEY,
    rule  jsonb NOT NULL
);

-- `stage` is the order in which slots are taken. `spacing` is seconds from one start to the next where they are limited.
CREATE TABLE queue_limits (
    tenant      text     NOT NULL,
    queue       text     NOT NULL,
    stage       smallint NOT NULL CHECK (stage BETWEEN 1 AND 3),
    name        text     NOT NULL DEFAULT '',
    concurrency integer,
    spacing     double precision,
    burst       integer,
    PRIMARY KEY (tenant, queue, stage, name)
);

-- `held` counts jobs that have the slot and do not run yet, `running` those that run. `tat` is the theoretical arrival time
-- of the next start by the generic cell rate algorithm, `due_at` when somebody who waits should be looked at again.
CREATE TABLE queue_slots (
    tenant  text    NOT NULL,
    queue   text    NOT NULL,
    slot    text    NOT NULL,
    held    integer NOT NULL DEFAULT 0,
    running integer NOT NULL DEFAULT 0,
    tat     timestamptz,
    due_at  timestamptz,
    PRIMARY KEY (tenant, queue, slot)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX queue_slots_due_idx ON queue_slots (due_at) WHERE due_at IS NOT NULL;

-- The newest tag of each key of a fair queue.
CREATE TABLE queue_keys (
    tenant text             NOT NULL,
    queue  text             NOT NULL,
    key    text             NOT NULL,
    tag    double precision NOT NULL,
    PRIMARY KEY (tenant, queue, key)
) WITH (fillfactor = 70);

ALTER TYPE work_to_place ADD ATTRIBUTE name text, ADD ATTRIBUTE key text, ADD ATTRIBUTE priority int, ADD ATTRIBUTE place text;

-- How many more jobs may take a slot.
CREATE FUNCTION slot_room(
    concurrency int, spacing float8, burst int, held int, running int, tat timestamptz, at timestamptz
) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT least(
        coalesce(concurrency - held - running, 2147483647),
        CASE WHEN spacing IS NULL THEN 2147483647
             ELSE floor(least(burst, burst + extract(epoch FROM at - coalesce(tat, at))::float8 / spacing + 1e-6))::int - held
        END)
$$;

-- The slot of a limit that a job takes, NULL where the limit does not concern it.
CREATE FUNCTION slot_of(a_limit queue_limits, job_name text, job_key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE a_limit.stage
        WHEN 1 THEN 'key:' || job_key
        WHEN 2 THEN CASE WHEN a_limit.name = job_name THEN 'name:' || job_name END
        ELSE 'queue:'
    END
$$;

CREATE FUNCTION stage_of(slot text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN slot LIKE 'key:%' THEN 1 WHEN slot LIKE 'name:%' THEN 2 WHEN slot = 'queue:' THEN 3 ELSE 0 END
$$;

-- The slot that a job needs after those up to a stage, and the reason for waiting for it; no row where it needs none.
CREATE FUNCTION next_slot(the_tenant text, the_queue text, job_name text, job_key text, after int)
RETURNS TABLE (slot text, reason text) LANGUAGE sql STABLE AS $$
    SELECT slot_of(l, job_name, job_key), CASE WHEN l.concurrency IS NULL THEN 'rate_limited' ELSE 'capped' END
      FROM queue_limits l
     WHERE l.tenant = the_tenant AND l.queue = the_queue AND l.stage > after AND slot_of(l, job_name, job_key) IS NOT NULL
     ORDER BY l.stage LIMIT 1
$$;

-- Of the jobs that have a slot and do not run, the one that comes last.
CREATE FUNCTION last_holder(
    the_tenant text, the_queue text, the_slot text,
    OUT stream text, OUT rank float8, OUT tag float8, OUT "position" bigint, OUT standing int
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    value text := substr(the_slot, strpos(the_slot, ':') + 1);
BEGIN
    CASE stage_of(the_slot)
    WHEN 1 THEN
        SELECT h.* INTO stream, rank, tag, "position", standing FROM (
            (SELECT r.stream, r.rank, r.tag, r.position, 4 FROM ready r
              WHERE r.tenant = the_tenant AND r.queue = the_queue AND r.key = value AND r.limited
              ORDER BY r.rank DESC, r.tag DESC, r.position DESC LIMIT 1)
            UNION ALL
            (SELECT w.stream, w.rank, w.tag, w.position, stage_of(w.slot) FROM waiting w
              WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.key = value
                AND w.slot IS NOT NULL AND w.slot NOT LIKE 'key:%'
              ORDER BY w.rank DESC, w.tag DESC, w.position DESC LIMIT 1)) AS h
         ORDER BY 2 DESC, 3 DESC, 4 DESC LIMIT 1;
    WHEN 2 THEN
        SELECT h.* INTO stream, rank, tag, "position", standing FROM (
            (SELECT r.stream, r.rank, r.tag, r.position, 4 FROM ready r
              WHERE r.tenant = the_tenant AND r.queue = the_queue AND r.name = value AND r.limited
              ORDER BY r.rank DESC, r.tag DESC, r.position DESC LIMIT 1)
            UNION ALL
            (SELECT w.stream, w.rank, w.tag, w.position, 3 FROM waiting w
              WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.name = value AND w.slot = 'queue:'
              ORDER BY w.rank DESC, w.tag DESC, w.position DESC LIMIT 1)) AS h
         ORDER BY 2 DESC, 3 DESC, 4 DESC LIMIT 1;
    ELSE
        SELECT r.stream, r.rank, r.tag, r.position, 4 INTO stream, rank, tag, "position", standing FROM ready r
         WHERE r.tenant = the_tenant AND r.queue = the_queue
         ORDER BY r.rank DESC, r.tag DESC, r.position DESC LIMIT 1;
    END CASE;
END $$;

-- Gives a slot to the first of those who wait for it, as many as there is room for; takes it from the last who has it and does
-- not run yet where somebody who waits comes before that one. Returns the slots that must be looked at next.
CREATE FUNCTION fill_slot(the_tenant text, the_queue text, the_slot text, at timestamptz) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    stage_ int := stage_of(the_slot);
    rule   queue_limits;
    slot_  queue_slots;
    room   int;
    moved  int;
    onward text[];
    next_  text[] := '{}';
    at_once constant int := 2000;
    more   boolean := false;
    holder record;
    first  record;
BEGIN
    SELECT * INTO rule FROM queue_limits l
     WHERE l.tenant = the_tenant AND l.queue = the_queue AND l.stage = stage_
       AND (stage_ <> 2 OR l.name = substr(the_slot, 6));
    IF NOT FOUND THEN RETURN next_; END IF;
    SELECT * INTO slot_ FROM queue_slots s WHERE s.tenant = the_tenant AND s.queue = the_queue AND s.slot = the_slot;
    IF NOT FOUND THEN
        INSERT INTO queue_slots (tenant, queue, slot) VALUES (the_tenant, the_queue, the_slot) RETURNING * INTO slot_;
    END IF;
    LOOP
        room := slot_room(rule.concurrency, rule.spacing, rule.burst, slot_.held, slot_.running, slot_.tat, at);
        IF room > 0 THEN
            WITH best AS (
                SELECT w.stream FROM waiting w
                 WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.slot = the_slot
                 ORDER BY w.rank, w.tag, w.position LIMIT least(room, at_once)),
            further AS (
                UPDATE waiting w SET slot = n.slot, reason = coalesce(n.reason, 'admitted')
                  FROM best b JOIN waiting o USING (stream)
                  LEFT JOIN LATERAL next_slot(the_tenant, the_queue, o.name, o.key, stage_) n ON true
                 WHERE w.stream = b.stream RETURNING w.slot)
            SELECT count(*), coalesce(array_agg(DISTINCT f.slot) FILTER (WHERE f.slot IS NOT NULL), '{}')
              INTO moved, onward FROM further f;
            slot_.held := slot_.held + moved;
            next_ := next_ || onward;
            more := moved = at_once;
            EXIT WHEN more OR moved < room;
            CONTINUE;
        END IF;
        SELECT * INTO holder FROM last_holder(the_tenant, the_queue, the_slot);
        EXIT WHEN holder.stream IS NULL;
        IF room = 0 THEN
            SELECT w.rank, w.tag, w.position INTO first FROM waiting w
             WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.slot = the_slot
             ORDER BY w.rank, w.tag, w.position LIMIT 1;
            EXIT WHEN NOT FOUND OR (first.rank, first.tag, first.position) >= (holder.rank, holder.tag, holder.position);
        END IF;
        next_ := next_ || give_back_slots(the_tenant, the_queue, holder.stream, stage_, holder.standing, the_slot,
                                          CASE WHEN rule.concurrency IS NULL THEN 'rate_limited' ELSE 'capped' END);
        slot_.held := slot_.held - 1;
    END LOOP;
    UPDATE queue_slots s
       SET held = slot_.held,
           due_at = CASE WHEN more THEN at
                         WHEN slot_room(NULL, rule.spacing, rule.burst, slot_.held, 0, slot_.tat, at) <= 0
                          AND slot_.held < rule.burst AND EXISTS (
                         SELECT FROM waiting w
                          WHERE w.tenant = the_tenant AND w.queue = the_queue AND w.slot = the_slot)
                         THEN greatest(slot_.tat + make_interval(secs => (slot_.held + 1 - rule.burst) * rule.spacing),
                                       at + interval '1 ms')
                    END
     WHERE s.tenant = the_tenant AND s.queue = the_queue AND s.slot = the_slot;
    RETURN next_;
END $$;

-- Puts a job that stands before `standing` back into the list of an earlier slot, and returns the slots that this frees
-- behind that one. The count of `the_slot` itself is the caller's.
CREATE FUNCTION give_back_slots(
    the_tenant text, the_queue text, the_stream text, stage_ int, standing int, the_slot text, why text
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    freed text[];
BEGIN
    WITH job AS (
        SELECT name, key FROM ready WHERE stream = the_stream UNION ALL
        SELECT name, key FROM waiting WHERE stream = the_stream),
    emptied AS (
        UPDATE queue_slots s SET held = s.held - 1
          FROM queue_limits l, job j
         WHERE l.tenant = the_tenant AND l.queue = the_queue AND l.stage > stage_ AND l.stage < standing
           AND s.tenant = the_tenant AND s.queue = the_queue AND s.slot = slot_of(l, j.name, j.key)
        RETURNING s.slot)
    SELECT coalesce(array_agg(e.slot), '{}') INTO freed FROM emptied e;
    IF standing = 4 THEN
        WITH gone AS (DELETE FROM ready WHERE stream = the_stream RETURNING *)
        INSERT INTO waiting (stream, tenant, job_id, queue, rank, tag, position, version, attempt, task, due_at, reason, slot,
                             company, correlation_id, traceparent, name, key, priority)
        SELECT stream, tenant, job_id, queue, rank, tag, position, version, attempt, task, 'infinity', why, the_slot,
               company, correlation_id, traceparent, name, key, priority FROM gone;
    ELSE
        UPDATE waiting SET slot = the_slot, reason = why WHERE stream = the_stream;
    END IF;
    RETURN freed;
END $$;

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
            PERFORM apply_rule(w.tenant, w.queue, w.task::jsonb, clock_timestamp()) FROM unnest(work) AS w WHERE w.place = 'rules';
            UPDATE ready r SET task = w.task, version = w.version
              FROM unnest(work) AS w WHERE w.place = 'same' AND r.stream = w.stream;
            UPDATE waiting r SET task = w.task, version = w.version
              FROM unnest(work) AS w WHERE w.place = 'same' AND r.stream = w.stream;
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
                SELECT w.tenant, w.queue, NULL FROM unnest(work) AS w JOIN queue_rules r ON r.tenant = w.tenant AND r.queue = w.queue
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
                             greatest(s.tat, at) + make_interval(secs => (g.n + s.held - g.n + 1 - g.burst) * g.spacing) END
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
