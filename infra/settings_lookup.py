"""The modules that answer reads: cache and search; and the whole `modules:` tree."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from adapters.http.parts import LivePaths, Part
from infra.settings_jobs import Jobs
from infra.settings_modules import (
    Cached,
    Count,
    Exports,
    Module,
    Progress,
    Seconds,
    Section,
    Switch,
)
from infra.settings_notifications import Notifications


class MemoryLevel(Switch):
    """Cache level 1, in the process: entries and seconds."""

    max_size: Count = 1_000
    ttl: Seconds = 60.0


class RedisLevel(Switch):
    """Cache level 2, shared; `default_ttl` in seconds."""

    url: SecretStr | None = None
    default_ttl: Seconds = 3_600.0
    key_prefix: str = "cache:"


class Compression(Switch):
    """Values of `threshold` bytes and more are compressed."""

    threshold: Annotated[int, Field(ge=0)] = 1_024


class CacheMetrics(Switch):
    """How often hits and misses are collected, in seconds."""

    collect_interval: Seconds = 60.0


class Cache(Module):
    """Cached values in two levels."""

    l1: MemoryLevel = MemoryLevel()
    l2: RedisLevel = RedisLevel()
    compression: Compression = Compression()
    metrics: CacheMetrics = CacheMetrics()


class VectorDatabase(Section):
    """Where vectors are."""

    type: str = "pgvector"
    url: str | None = None
    api_key: SecretStr | None = None
    collection: str = "documents"


class Embeddings(Section):
    """What turns text into vectors; model and dimension None mean the provider's own."""

    provider: str = "local"
    model: str | None = None
    dimension: Annotated[int, Field(ge=1, le=65_536)] | None = None
    batch_size: Count = 100
    api_key: SecretStr | None = None


class SearchDefaults(Section):
    """What a search gets that does not say otherwise."""

    default_limit: Annotated[int, Field(ge=1, le=1_000)] = 10
    default_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    enable_hybrid: bool = True
    enable_reranking: bool = False
    enable_query_expansion: bool = False


class Indexing(Section):
    """How documents get into the index."""

    batch_size: Count = 100
    auto_index: bool = True


class Search(Module):
    """Search by meaning and by words."""

    vector_db: VectorDatabase = VectorDatabase()
    embeddings: Embeddings = Embeddings()
    search: SearchDefaults = SearchDefaults()
    cache: Cached = Cached()
    indexing: Indexing = Indexing()

    def vendors(self) -> dict[str, str]:
        """The vector database and the embeddings."""
        return {
            "search.vector_db.type": self.vector_db.type,
            "search.embeddings.provider": self.embeddings.provider,
        }


class Modules(Section):
    """Every module. One that has no section is off, except jobs, progress and notifications."""

    jobs: Jobs = Jobs()
    progress: Progress = Progress()
    notifications: Notifications = Notifications()
    exports: Exports = Exports(enabled=False)
    cache: Cache = Cache(enabled=False)
    search: Search = Search(enabled=False)

    @model_validator(mode="after")
    def _different_paths(self) -> Self:
        if self.progress.realtime.path == self.notifications.websocket.path:
            raise ValueError("progress.realtime.websocket_url and notifications.websocket.path have the same path")
        return self

    def live_paths(self) -> LivePaths:
        """Where the live feeds of the modules answer."""
        return LivePaths(self.progress.realtime.path, self.notifications.websocket.path)

    def unserved(self) -> frozenset[Part]:
        """The parts of the HTTP interface that are switched off."""
        served: dict[Part, bool] = {
            "progress": self.progress.enabled,
            "notifications": self.notifications.enabled,
            "live progress": self.progress.enabled and self.progress.realtime.enabled,
            "live notifications": self.notifications.enabled and self.notifications.websocket.enabled,
        }
        return frozenset(part for part, on in served.items() if not on)
