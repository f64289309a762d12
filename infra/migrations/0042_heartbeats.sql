-- What a running attempt last told of itself with a renewal; it goes with the lease.
ALTER TABLE leases ADD details json, ADD details_at timestamptz;
