-- Operational: parts of results that are in the storage, or were about to be. Each is looked at from `look_at` on, until the
-- job that needs it is removed; `removals` is how far the log was searched for removed jobs.
CREATE TABLE result_parts (
    tenant  text        NOT NULL,
    job_id  text        NOT NULL,
    attempt integer     NOT NULL,
    sha256  text        NOT NULL,
    size    bigint      NOT NULL,
    look_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, job_id, attempt, sha256)
);
CREATE INDEX result_parts_look_idx ON result_parts (look_at);
CREATE TABLE result_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    removals  bigint  NOT NULL
);
INSERT INTO result_state (removals) SELECT head FROM store;
