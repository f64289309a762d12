"""The tables of the `jobs` read model. `{v}` is the version; the views without it are public."""

from __future__ import annotations

from projections import dead_letters, job_links
from projections.job_filters import WORDS

TABLES = ("jobs", "job_errors", "job_counts", "job_parents", "dead_letters")

CREATE = (
    """
CREATE TABLE IF NOT EXISTS jobs_v{v} (
    tenant        text        NOT NULL,
    id            text        NOT NULL,
    position      bigint      NOT NULL,
    version       bigint      NOT NULL,
    name          text        NOT NULL,
    data          json       NOT NULL,
    queue         text        NOT NULL,
    priority      integer     NOT NULL,
    timeout       float8      NOT NULL,
    company       text,
    correlation_id text,
    created_at    timestamptz NOT NULL,
    status        text        NOT NULL,
    attempts      integer     NOT NULL,
    max_attempts  integer     NOT NULL,
    run_at        timestamptz,
    started_at    timestamptz,
    completed_at  timestamptz,
    failed_at     timestamptz,
    worker        text,
    result        json,
    error         text,
    dead_lettered boolean     NOT NULL,
    key           text,
    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS jobs_v{v}_status_idx ON jobs_v{v} (tenant, status, position);
CREATE INDEX IF NOT EXISTS jobs_v{v}_position_idx ON jobs_v{v} (tenant, position);
CREATE INDEX IF NOT EXISTS jobs_v{v}_delayed_idx ON jobs_v{v} (tenant, run_at) WHERE status = 'delayed';
CREATE INDEX IF NOT EXISTS jobs_v{v}_key_idx ON jobs_v{v} (tenant, key, position) WHERE key IS NOT NULL;
CREATE TABLE IF NOT EXISTS job_errors_v{v} (
    tenant    text        NOT NULL,
    job_id    text        NOT NULL,
    attempt   integer     NOT NULL,
    type      text        NOT NULL,
    message   text        NOT NULL,
    traceback text,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant, job_id, attempt)
);
CREATE TABLE IF NOT EXISTS job_counts_v{v} (
    tenant text   NOT NULL,
    queue  text   NOT NULL,
    status text   NOT NULL,
    n      bigint NOT NULL,
    PRIMARY KEY (tenant, queue, status)
);
"""
    + f"""
CREATE INDEX IF NOT EXISTS job_errors_v{{v}}_words_idx ON job_errors_v{{v}} USING gin (({WORDS}));
CREATE INDEX IF NOT EXISTS jobs_v{{v}}_created_idx ON jobs_v{{v}} USING brin (created_at);
"""
    + job_links.CREATE
    + dead_letters.CREATE
)

# Rows travel as rows of the table's own type, which is cheaper than an array for each column.
INSERT = "INSERT INTO jobs_v{v} SELECT * FROM unnest($1::jobs_v{v}[])"
_UPDATE = """
UPDATE jobs_v{v} j
   SET version = u.version, status = u.status, attempts = u.attempts, max_attempts = u.max_attempts, run_at = u.run_at,
       started_at = u.started_at, completed_at = u.completed_at, failed_at = u.failed_at, worker = u.worker,
       result = u.result, error = u.error, dead_lettered = u.dead_lettered
  FROM {updates}
 WHERE j.tenant = u.tenant AND j.id = u.id
"""
UPDATE = _UPDATE.replace("{updates}", "unnest($1::jobs_v{v}[]) AS u")
RESETTLE = """
UPDATE jobs_v{v} j SET queue = c.queue, priority = c.priority, data = c.data::json
  FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[]) AS c(tenant, id, queue, priority, data)
 WHERE j.tenant = c.tenant AND j.id = c.id
"""
FETCH = """
SELECT j.tenant, j.id, j.queue, j.version, j.status, j.attempts, j.max_attempts, j.run_at, j.started_at, j.completed_at,
       j.failed_at, j.worker, j.result::text AS result, j.error, j.dead_lettered
  FROM jobs_v{v} j JOIN unnest($1::text[], $2::text[]) AS k(tenant, id) ON j.tenant = k.tenant AND j.id = k.id
"""
EDIT = """
UPDATE jobs_v{v} j SET data = u.data::json
  FROM unnest($1::text[], $2::text[], $3::text[]) AS u(tenant, id, data)
 WHERE j.tenant = u.tenant AND j.id = u.id
"""
INSERT_ERRORS = """
INSERT INTO job_errors_v{v} (tenant, job_id, attempt, type, message, traceback, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
ON CONFLICT DO NOTHING
"""
REMOVE = """
DELETE FROM jobs_v{v} WHERE (tenant, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
REMOVE_ERRORS = """
DELETE FROM job_errors_v{v} WHERE (tenant, job_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
# A count that has gone back to nothing leaves no row, so that tables filled in other steps compare equal.
_COUNT = """
MERGE INTO job_counts_v{v} AS c
USING {deltas}
   ON c.tenant = d.tenant AND c.queue = d.queue AND c.status = d.status
 WHEN MATCHED AND c.n + d.n = 0 THEN DELETE
 WHEN MATCHED THEN UPDATE SET n = c.n + d.n
 WHEN NOT MATCHED THEN INSERT (tenant, queue, status, n) VALUES (d.tenant, d.queue, d.status, d.n)
"""
COUNT = _COUNT.replace(
    "{deltas}", "unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS d(tenant, queue, status, n)"
)
# New jobs, changed jobs and counts, where the reader has moved. A page has a job as new or as changed, never as both.
_MOVED_DELTAS = """
(SELECT d.* FROM moved, unnest($7::text[], $8::text[], $9::text[], $10::bigint[]) AS d(tenant, queue, status, n)) AS d
"""
AT_ONCE = (
    ", added AS (INSERT INTO jobs_v{v} SELECT n.* FROM moved, unnest($5::jobs_v{v}[]) AS n)"
    ", changed AS (" + _UPDATE.replace("{updates}", "moved, unnest($6::jobs_v{v}[]) AS u") + ")"
) + _COUNT.replace("{deltas}", _MOVED_DELTAS)
# Everything about some jobs of a tenant, whatever was written of them so far.
ARCHIVE = (
    """
WITH gone AS (DELETE FROM jobs_v{v} WHERE tenant = $1 AND id = ANY ($2::text[]) RETURNING tenant, queue, status)
MERGE INTO job_counts_v{v} AS c
USING (SELECT tenant, queue, status, count(*) AS n FROM gone GROUP BY tenant, queue, status) AS d
   ON c.tenant = d.tenant AND c.queue = d.queue AND c.status = d.status
 WHEN MATCHED AND c.n = d.n THEN DELETE
 WHEN MATCHED THEN UPDATE SET n = c.n - d.n
""",
    "DELETE FROM job_errors_v{v} WHERE tenant = $1 AND job_id = ANY ($2::text[])",
    "DELETE FROM job_parents_v{v} WHERE tenant = $1 AND job_id = ANY ($2::text[])",
    "DELETE FROM dead_letters_v{v} WHERE tenant = $1 AND id = ANY ($2::text[])",
)
