-- Who is connected to the live feed, for as long as the lease lasts. What a crash forgets the connections say again.
CREATE UNLOGGED TABLE presence (
    connection uuid PRIMARY KEY,
    tenant text NOT NULL,
    client_id text NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX presence_of_tenant ON presence (tenant, client_id);
