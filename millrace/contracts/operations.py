"""Commands that no aggregate decides: they concern who works on what right now, and record nothing by themselves."""

from __future__ import annotations

OPERATIONS = frozenset({"job.claim", "job.renew", "job.withdraw", "subscription.lease"})
