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

UPDATE dependents SET work = work || jsonb_build_object(
    'name', (work ->> 'task')::json ->> 'name', 'priority', -(work ->> 'rank')::float8,
    'place', CASE WHEN work ->> 'due_at' IS NULL THEN 'ready' ELSE 'waiting' END);
CREATE INDEX dependents_queue_idx ON dependents (tenant, (work ->> 'queue'));

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
