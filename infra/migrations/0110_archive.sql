-- Archiving: events of streams that are in the storage leave the log.

-- Operational. `mark`: up to this position the log has holes. `done`: the newest `archive.streams_archived` whose streams'
-- events have been deleted.
CREATE TABLE archive_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    mark      bigint  NOT NULL DEFAULT 0,
    done      bigint  NOT NULL DEFAULT 0
);
INSERT INTO archive_state DEFAULT VALUES;

-- What may be archived, and what was.
CREATE INDEX stored_events_archive_idx ON stored_events (notification_id)
 WHERE event_type IN ('job.removed', 'archive.streams_archived');

-- Until now nothing was ever deleted here.
ALTER TABLE stored_events SET (autovacuum_vacuum_threshold = 100000, autovacuum_vacuum_scale_factor = 0.02);
