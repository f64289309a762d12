-- Workers of two tenants may have one name: what a worker runs is told apart by whom it belongs to.
CREATE FUNCTION running_on(the_home text, the_worker text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT count(*)::int FROM leases l
     WHERE l.worker = the_worker
       AND (l.tenant = the_home OR EXISTS (
            SELECT FROM workers w
             WHERE w.tenant IN (l.tenant, '*') AND w.worker = the_worker AND w.pool = the_home))
$$;

-- As before.
CREATE OR REPLACE FUNCTION room_of(the_home text, the_worker text, room int, at timestamptz) RETURNS int
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM workers w
                              WHERE w.tenant = the_home AND w.worker = the_worker AND NOT w.stopped
                                AND w.seen_at > at - interval '30 seconds')
                THEN greatest(room - running_on(the_home, the_worker), 0)
                ELSE -1 END
         - (SELECT count(*) FROM job_affinities a
             WHERE a.home = the_home AND a.worker = the_worker AND a.until > at)::int
$$;

-- As before.
CREATE OR REPLACE FUNCTION note_warm(claim claim_to_serve, picked granted_job[], at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH started AS (
        DELETE FROM job_affinities a USING unnest(picked) AS p WHERE a.stream = p.stream RETURNING a.stream)
    INSERT INTO warm_keys AS k (tenant, queue, key, home, worker, room, used_at)
    SELECT DISTINCT l.tenant, l.queue, l.key, claim.tenant, claim.worker,
           claim.slots - cardinality(picked) + running_on(claim.tenant, claim.worker), at
      FROM started s JOIN leases l ON l.stream = s.stream
        ON CONFLICT (tenant, queue, key) DO UPDATE
       SET home = excluded.home, worker = excluded.worker, room = excluded.room, used_at = excluded.used_at;
END $$;

-- Gives back to the lanes what was put aside for this claim's worker, as much as it asks for, and what waits for workers
-- that are gone or have no room for it. Nobody puts it aside again in this attempt: its key may have another worker by now.
CREATE OR REPLACE FUNCTION take_back_warm(claim claim_to_serve, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
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
        UPDATE job_affinities a SET home = NULL, worker = NULL, until = take_back_warm.at FROM back b WHERE a.stream = b.stream)
    -- Long due, so that they are the first to be moved.
    UPDATE waiting w SET reason = 'delayed', due_at = at - interval '1 year' FROM back b WHERE w.stream = b.stream;
    IF FOUND THEN PERFORM move_due(at_once); END IF;
END $$;
