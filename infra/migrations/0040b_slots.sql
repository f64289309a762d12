-- The slots of limits: who needs which, who gets one, and who gives one back for a better job. All of it runs under the
-- append lock.

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
