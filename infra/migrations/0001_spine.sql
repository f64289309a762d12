-- The event store. `stored_events` is the `eventsourcing` library's own table, with nullable columns beside its own and
-- positions that we assign ourselves: dense, under one advisory lock, so that no reader can ever skip an event.
CREATE TABLE store (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch      text   NOT NULL,
    head       bigint NOT NULL DEFAULT 0
);
INSERT INTO store (epoch) VALUES (substr(md5(gen_random_uuid()::text), 1, 12));

CREATE TABLE stored_events (
    originator_id      text        NOT NULL,
    originator_version bigint      NOT NULL,
    topic              text        NOT NULL,
    state              bytea,
    notification_id    bigint      NOT NULL,
    event_id           uuid,
    event_type         text,
    kind               text,
    subject            text,
    tenant             text,
    company            text,
    correlation_id     text,
    causation_id       text,
    metadata           jsonb,
    recorded_at        timestamptz,
    PRIMARY KEY (originator_id, originator_version)
) WITH (autovacuum_vacuum_threshold = 100000000, autovacuum_analyze_threshold = 1000);
CREATE UNIQUE INDEX stored_events_notification_id_idx ON stored_events (notification_id);
CREATE INDEX stored_events_correlation_idx ON stored_events (tenant, correlation_id) WHERE correlation_id IS NOT NULL;

CREATE TABLE snapshots (
    originator_id      text   NOT NULL,
    originator_version bigint NOT NULL,
    topic              text   NOT NULL,
    state              bytea,
    PRIMARY KEY (originator_id, originator_version)
);

-- What each command was answered: operational, not part of what a replay rebuilds.
CREATE TABLE inbox (
    tenant      text        NOT NULL,
    principal   text        NOT NULL,
    command_id  text        NOT NULL,
    body_hash   bytea       NOT NULL,
    answer      text        NOT NULL,
    position    bigint,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, principal, command_id)
);
CREATE INDEX inbox_recorded_at_idx ON inbox USING brin (recorded_at);

-- Inline projections: where each unfinished job stands for the claims. A lane is (tenant, queue).
CREATE TABLE ready (
    stream   text             PRIMARY KEY,
    tenant   text             NOT NULL,
    job_id   text             NOT NULL,
    queue    text             NOT NULL,
    rank     double precision NOT NULL,
    position bigint           NOT NULL,
    version  bigint           NOT NULL,
    attempt  integer          NOT NULL,
    task     text             NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX ready_lane_idx ON ready (tenant, queue, rank, position);

CREATE TABLE waiting (
    stream   text             PRIMARY KEY,
    tenant   text             NOT NULL,
    job_id   text             NOT NULL,
    queue    text             NOT NULL,
    rank     double precision NOT NULL,
    position bigint           NOT NULL,
    version  bigint           NOT NULL,
    attempt  integer          NOT NULL,
    task     text             NOT NULL,
    due_at   timestamptz      NOT NULL,
    reason   text             NOT NULL DEFAULT 'delayed'
);
CREATE INDEX waiting_due_idx ON waiting (due_at);

-- Operational: which attempt is running where, and until when it is valid.
CREATE TABLE leases (
    stream     text        PRIMARY KEY,
    tenant     text        NOT NULL,
    job_id     text        NOT NULL,
    attempt    integer     NOT NULL,
    worker     text        NOT NULL,
    confirmed  boolean     NOT NULL DEFAULT false,
    expires_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, fillfactor = 70);
CREATE INDEX leases_expires_idx ON leases (expires_at);

CREATE TABLE workers (
    tenant  text        NOT NULL,
    worker  text        NOT NULL,
    seen_at timestamptz NOT NULL,
    stopped boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (tenant, worker)
);

CREATE TABLE lease_watch (
    singleton boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    beat_at   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO lease_watch DEFAULT VALUES;

-- Where each reader of the log has got to: projections, reactions, the relay.
CREATE TABLE readers (
    name     text   PRIMARY KEY,
    version  integer NOT NULL DEFAULT 1,
    position bigint NOT NULL DEFAULT 0
);

-- Streams that a projection or reaction could not digest; it goes on without them until they are released.
CREATE TABLE held (
    reader   text        NOT NULL,
    stream   text        NOT NULL,
    position bigint      NOT NULL,
    error    text        NOT NULL,
    held_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reader, stream)
);

-- Operational: up to which position the AMQP queue of a subscription has been filled.
CREATE TABLE queue_fill (
    tenant   text   NOT NULL,
    name     text   NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- Operational: which worker delivers a subscription, and until when nobody else may.
CREATE TABLE subscription_leases (
    tenant     text        NOT NULL,
    name       text        NOT NULL,
    worker     text        NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- Appends a whole batch: positions, events, remembered answers, and the inline rows that follow from the events.
-- Takes the advisory lock before anything else: nothing takes a row lock before it.
CREATE FUNCTION append_batch(
    e_streams text[], e_versions bigint[], e_topics text[], e_states bytea[], e_ids uuid[], e_types text[],
    e_kinds text[], e_subjects text[], e_tenants text[], e_companies text[], e_correlations text[],
    e_causations text[], e_metadata text[],
    k_tenants text[], k_principals text[], k_ids text[], k_hashes bytea[], k_answers text[], k_last_events int[],
    gone_ready text[], gone_waiting text[], gone_leases text[],
    w_streams text[], w_tenants text[], w_jobs text[], w_queues text[], w_ranks float8[], w_last_events int[],
    w_versions bigint[], w_attempts int[], w_tasks text[], w_due timestamptz[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    base bigint;
    at   timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(7270501);
    UPDATE store SET head = head + cardinality(e_streams) RETURNING head - cardinality(e_streams) INTO base;
    at := clock_timestamp();
    IF cardinality(k_ids) > 0 THEN
        INSERT INTO inbox (tenant, principal, command_id, body_hash, answer, position, recorded_at)
        SELECT k.tenant, k.principal, k.id, k.hash, k.answer, base + k.last_event, at
          FROM unnest(k_tenants, k_principals, k_ids, k_hashes, k_answers, k_last_events)
               AS k(tenant, principal, id, hash, answer, last_event);
    END IF;
    IF cardinality(e_streams) > 0 THEN
        INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, event_id, event_type,
               kind, subject, tenant, company, correlation_id, causation_id, metadata, recorded_at)
        SELECT e.stream, e.version, e.topic, e.state, base + e.ord, e.id, e.type,
               e.kind, e.subject, e.tenant, e.company, e.correlation, e.causation, e.metadata::jsonb, at
          FROM unnest(e_streams, e_versions, e_topics, e_states, e_ids, e_types, e_kinds, e_subjects, e_tenants,
                      e_companies, e_correlations, e_causations, e_metadata) WITH ORDINALITY
               AS e(stream, version, topic, state, id, type, kind, subject, tenant, company, correlation, causation,
                    metadata, ord);
    END IF;
    IF cardinality(gone_ready) > 0 THEN DELETE FROM ready WHERE stream = ANY (gone_ready); END IF;
    IF cardinality(gone_waiting) > 0 THEN DELETE FROM waiting WHERE stream = ANY (gone_waiting); END IF;
    IF cardinality(gone_leases) > 0 THEN DELETE FROM leases WHERE stream = ANY (gone_leases); END IF;
    IF cardinality(w_streams) > 0 THEN
        INSERT INTO ready (stream, tenant, job_id, queue, rank, position, version, attempt, task)
        SELECT w.stream, w.tenant, w.job, w.queue, w.rank, base + w.last_event, w.version, w.attempt, w.task
          FROM unnest(w_streams, w_tenants, w_jobs, w_queues, w_ranks, w_last_events, w_versions, w_attempts, w_tasks,
                      w_due) AS w(stream, tenant, job, queue, rank, last_event, version, attempt, task, due)
         WHERE w.due IS NULL;
        INSERT INTO waiting (stream, tenant, job_id, queue, rank, position, version, attempt, task, due_at)
        SELECT w.stream, w.tenant, w.job, w.queue, w.rank, base + w.last_event, w.version, w.attempt, w.task, w.due
          FROM unnest(w_streams, w_tenants, w_jobs, w_queues, w_ranks, w_last_events, w_versions, w_attempts, w_tasks,
                      w_due) AS w(stream, tenant, job, queue, rank, last_event, version, attempt, task, due)
         WHERE w.due IS NOT NULL;
    END IF;
    RETURN base;
END $$;
