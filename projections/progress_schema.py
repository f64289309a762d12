"""The tables of the `progress` read model, and how rows get into them."""

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
CREATE INDEX IF NOT EXISTS progress_v{v}_job_idx ON progress_v{v} (tenant, (metadata ->> 'job_id'))
    WHERE status IN ('pending', 'processing') AND metadata ->> 'job_id' IS NOT NULL;
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

# Rows travel as rows of the tables' own types, which is cheaper than an array for each column.
_INSERT = "INSERT INTO progress_v{v} SELECT n.* FROM {rows}"
_UPDATE = """
UPDATE progress_v{v} p
   SET version = u.version, status = u.status, progress = u.progress, stage = u.stage,
       stage_progress = u.stage_progress, rule = u.rule, checkpoint = u.checkpoint, result = u.result,
       error = u.error, error_detail = u.error_detail, rate = u.rate, stalls_at = u.stalls_at,
       stalled_at = u.stalled_at, started_at = u.started_at, updated_at = u.updated_at,
       completed_at = u.completed_at, failed_at = u.failed_at, cancelled_at = u.cancelled_at
  FROM {rows}
 WHERE p.tenant = u.tenant AND p.id = u.id
"""
_PUT_STAGES = """
INSERT INTO progress_stages_v{v} SELECT s.* FROM {rows}
    ON CONFLICT (tenant, id, n) DO UPDATE
   SET status = excluded.status, progress = excluded.progress, started_at = excluded.started_at,
       completed_at = excluded.completed_at
"""
_PUT_CHILDREN = """
INSERT INTO progress_children_v{v} SELECT c.* FROM {rows}
    ON CONFLICT (tenant, id, child_id) DO UPDATE SET status = excluded.status
"""
INSERT = _INSERT.replace("{rows}", "unnest($1::progress_v{v}[]) AS n")
UPDATE = _UPDATE.replace("{rows}", "unnest($1::progress_v{v}[]) AS u")
PUT_STAGES = _PUT_STAGES.replace("{rows}", "unnest($1::progress_stages_v{v}[]) AS s")
PUT_CHILDREN = _PUT_CHILDREN.replace("{rows}", "unnest($1::progress_children_v{v}[]) AS c")
REMOVE = [
    f"DELETE FROM {table}_v{{v}} WHERE (tenant, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
    for table in TABLES
]
# All of it where the reader has moved. A page has a progress as new or as changed, never as both.
AT_ONCE = (
    ", added AS (" + _INSERT.replace("{rows}", "moved, unnest($5::progress_v{v}[]) AS n") + ")"
    ", changed AS (" + _UPDATE.replace("{rows}", "moved, unnest($6::progress_v{v}[]) AS u") + ")"
    ", staged AS (" + _PUT_STAGES.replace("{rows}", "moved, unnest($7::progress_stages_v{v}[]) AS s") + ")"
    ", parted AS (" + _PUT_CHILDREN.replace("{rows}", "moved, unnest($8::progress_children_v{v}[]) AS c") + ")"
    " SELECT FROM moved"
)
FETCH = """
SELECT p.tenant, p.id, p.version, p.status, p.progress, p.stage, p.rule::text, p.checkpoint::text, p.result::text,
       p.error, p.error_detail::text, p.rate, p.stall_after, p.stalled_at, p.started_at, p.updated_at,
       p.completed_at, p.failed_at, p.cancelled_at
  FROM progress_v{v} p JOIN unnest($1::text[], $2::text[]) AS k(tenant, id) ON p.tenant = k.tenant AND p.id = k.id
"""
FETCH_STAGES = """
SELECT s.* FROM progress_stages_v{v} s
  JOIN unnest($1::text[], $2::text[]) AS k(tenant, id) ON s.tenant = k.tenant AND s.id = k.id ORDER BY s.n
"""
