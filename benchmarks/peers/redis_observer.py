"""Final statuses that are keys of a Redis database of the race's own."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import REDIS_URL, Observed


class RedisObserver(Observed):
    """Counts keys. `reset` empties this one database of the server."""

    def reset(self) -> None:
        import redis

        redis.Redis.from_url(REDIS_URL).flushdb()

    def observe(self) -> None:
        import redis

        self.observing: Any = redis.Redis.from_url(REDIS_URL)

    def recorded_count(self) -> int:
        return int(self.observing.dbsize())

    def is_recorded(self, job: Any) -> bool:
        return bool(self.observing.exists(job))
