-- Tickets that let one connection into the live feed, once and soon. Only their SHA-256 is kept; a crash may forget them.
CREATE UNLOGGED TABLE live_tickets (
    digest bytea PRIMARY KEY,
    tenant text NOT NULL,
    principal text NOT NULL,
    user_id text,
    progress_id text,
    expires_at timestamptz NOT NULL
);
