"""The tables of the `progress` read model, and what each event does to them."""

from __future__ import annotations

CREATE = """
CREATE TABLE IF NOT EXISTS progress_v{v} (
    tenant         text             NOT NULL,
    id             text             NOT NULL,
    company        text,
    version        integer          NOT NULL,
    type           text,
    status         text             NOT NULL,
    progress       double precision NOT NULL,
    stage          text,
    stage_progress double precision,
    metadata       json             NOT NULL,
    user_id        text,
    parent_id      text,
    weight         double precision NOT NULL,
    rule           json,
    checkpoint     json,
    result         json,
    error          text,
    error_detail   json,
    rate           double precision,
    stall_after    double precision,
    stalls_at      timestamptz,
    stalled_at     timestamptz,
    created_at     timestamptz      NOT NULL,
    started_at     timestamptz,
    updated_at     timestamptz      NOT NULL,
    completed_at   timestamptz,
    failed_at      timestamptz,
    cancelled_at   timestamptz,
    position       bigint           NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS progress_v{v}_position_idx ON progress_v{v} (tenant, position);
CREATE INDEX IF NOT EXISTS progress_v{v}_user_idx ON progress_v{v} (tenant, user_id, position)
    WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS progress_v{v}_parent_idx ON progress_v{v} (tenant, parent_id, position)
    WHERE parent_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS progress_v{v}_stalls_idx ON progress_v{v} (stalls_at) WHERE stalls_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS progress_v{v}_ended_idx ON progress_v{v} (status, updated_at)
    WHERE status IN ('completed', 'failed', 'cancelled');
CREATE TABLE IF NOT EXISTS progress_stages_v{v} (
    tenant       text             NOT NULL,
    id           text             NOT NULL,
    n            integer          NOT NULL,
    name         text             NOT NULL,
    weight       double precision NOT NULL,
    status       text             NOT NULL DEFAULT 'pending',
    progress     double precision NOT NULL DEFAULT 0,
    started_at   timestamptz,
    completed_at timestamptz,
    PRIMARY KEY (tenant, id, n)
);
CREATE TABLE IF NOT EXISTS progress_children_v{v} (
    tenant    text NOT NULL,
    id        text NOT NULL,
    child_id  text NOT NULL,
    status    text NOT NULL,
    PRIMARY KEY (tenant, id, child_id)
);
"""
TABLES = ("progress", "progress_stages", "progress_children")
PUBLISH = "".join(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM {table}_v{{v}};\n" for table in TABLES)
DROP = "".join(f"DROP TABLE IF EXISTS {table}_v{{v}};\n" for table in TABLES)

INSERT = """
INSERT INTO progress_v{v} (tenant, id, version, company, type, status, progress, metadata, user_id, parent_id, weight,
                           rule, stall_after, created_at, updated_at, position)
VALUES ($1, $2, $3, $4, $5, 'pending', 0, $6, $7, $8, $9, $10, $11, $12, $12, $13)
"""
INSERT_STAGES = """
INSERT INTO progress_stages_v{v} (tenant, id, n, name, weight)
SELECT $1, $2, n, name, weight FROM unnest($3::text[], $4::float8[]) WITH ORDINALITY AS s (name, weight, n)
"""
# What every event but a stall does: it is a sign of life.
TOUCH = """version = $3, updated_at = $4::timestamptz, stalled_at = NULL,
    stalls_at = CASE WHEN {processing} THEN $4 + make_interval(secs => stall_after) END"""
GOES_ON = TOUCH.format(processing="true")
ENDS = TOUCH.format(processing="false")
STAYS = TOUCH.format(processing="status = 'processing'")
ONE = "WHERE tenant = $1 AND id = $2"
UPDATE = f"""
UPDATE progress_v{{v}} SET {GOES_ON}, status = 'processing', started_at = coalesce(started_at, $4), progress = $5,
       rate = $6, stage = coalesce($7, stage), stage_progress = coalesce($8, stage_progress) {ONE}
"""
ENTER_STAGE = f"""
UPDATE progress_stages_v{{v}} s
   SET status = CASE WHEN s.n < c.n OR $4::float8 = 100 THEN 'completed' ELSE 'processing' END,
       progress = CASE WHEN s.n < c.n THEN 100 ELSE $4 END,
       started_at = coalesce(s.started_at, $5::timestamptz),
       completed_at = CASE WHEN s.n < c.n OR $4 = 100 THEN coalesce(s.completed_at, $5) END
  FROM (SELECT n FROM progress_stages_v{{v}} {ONE} AND name = $3) c
 WHERE s.tenant = $1 AND s.id = $2 AND s.n <= c.n AND (s.n = c.n OR s.status <> 'completed')
"""
COMPLETE = f"""
UPDATE progress_v{{v}} p SET {ENDS}, status = 'completed', progress = $5, result = $6, completed_at = $4,
       started_at = coalesce(started_at, $4),
       stage = coalesce((SELECT name FROM progress_stages_v{{v}} {ONE} ORDER BY n DESC LIMIT 1), stage),
       stage_progress = (SELECT 100 FROM progress_stages_v{{v}} {ONE} LIMIT 1) {ONE}
"""
COMPLETE_STAGES = f"""
UPDATE progress_stages_v{{v}}
   SET status = 'completed', progress = 100, started_at = coalesce(started_at, $3::timestamptz),
       completed_at = $3 {ONE} AND status <> 'completed'
"""
FAIL = f"UPDATE progress_v{{v}} SET {ENDS}, status = 'failed', failed_at = $4, error = $5, error_detail = $6 {ONE}"
CANCEL = f"UPDATE progress_v{{v}} SET {ENDS}, status = 'cancelled', cancelled_at = $4, error = $5 {ONE}"
RESUME = f"""
UPDATE progress_v{{v}} SET {GOES_ON}, status = 'processing', failed_at = NULL, cancelled_at = NULL, error = NULL,
       error_detail = NULL, rate = NULL {ONE}
"""
MARK_STAGE = f"""
UPDATE progress_stages_v{{v}} SET status = $3 {ONE} AND status <> 'completed'
   AND name = (SELECT stage FROM progress_v{{v}} {ONE})
"""
HEAR_CHILD = f"""
UPDATE progress_v{{v}} SET version = $3, updated_at = $4::timestamptz, stalled_at = NULL, progress = $5, rate = $6,
       status = CASE WHEN status = 'pending' AND $7 <> 'pending' THEN 'processing' ELSE status END,
       started_at = CASE WHEN $7 <> 'pending' THEN coalesce(started_at, $4) ELSE started_at END,
       stalls_at = CASE WHEN status = 'processing' OR $7 <> 'pending'
                        THEN $4 + make_interval(secs => stall_after) END {ONE}
"""
PUT_CHILD = """
INSERT INTO progress_children_v{v} VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, id, child_id)
    DO UPDATE SET status = excluded.status
"""
COUNT_JOBS = f"""
UPDATE progress_v{{v}} SET version = $3, updated_at = $4::timestamptz, stalled_at = NULL, progress = $5, rate = $6,
       status = $7, started_at = CASE WHEN $7 <> 'pending' THEN coalesce(started_at, $4) ELSE started_at END,
       stalls_at = CASE WHEN $7 = 'processing' THEN $4 + make_interval(secs => stall_after) END, rule = $8 {ONE}
"""
CHECKPOINT = f"UPDATE progress_v{{v}} SET {STAYS}, checkpoint = $5 {ONE}"
STALL = f"UPDATE progress_v{{v}} SET version = $3, stalled_at = $4, stalls_at = NULL {ONE}"
