-- What attempts have logged: kept for some days, bounded for each attempt, no part of what a replay makes.
CREATE TABLE job_logs (
    tenant      text        NOT NULL,
    job_id      text        NOT NULL,
    attempt     integer     NOT NULL,
    n           integer     NOT NULL,
    at          timestamptz NOT NULL,
    level       text        NOT NULL,
    message     text        NOT NULL,
    fields      json        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, job_id, attempt, n)
);
CREATE INDEX job_logs_recorded_idx ON job_logs (recorded_at);
