-- `append_batch` also returns the time it gave the events, so that the process that appended them need not read them.
DROP FUNCTION append_batch(
    text[], bigint[], text[], bytea[], uuid[], text[], text[], text[], text[], text[], text[], text[], text[],
    text[], text[], text[], bytea[], text[], int[], text[], text[], text[],
    text[], text[], text[], text[], float8[], int[], bigint[], int[], text[], timestamptz[]);

CREATE FUNCTION append_batch(
    e_streams text[], e_versions bigint[], e_topics text[], e_states bytea[], e_ids uuid[], e_types text[],
    e_kinds text[], e_subjects text[], e_tenants text[], e_companies text[], e_correlations text[],
    e_causations text[], e_metadata text[],
    k_tenants text[], k_principals text[], k_ids text[], k_hashes bytea[], k_answers text[], k_last_events int[],
    gone_ready text[], gone_waiting text[], gone_leases text[],
    w_streams text[], w_tenants text[], w_jobs text[], w_queues text[], w_ranks float8[], w_last_events int[],
    w_versions bigint[], w_attempts int[], w_tasks text[], w_due timestamptz[],
    OUT base bigint, OUT at timestamptz
) LANGUAGE plpgsql AS $$
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
END $$;
