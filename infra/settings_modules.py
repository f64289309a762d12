"""The `modules:` tree in its one canonical shape; other spellings are translated in `settings_aliases`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

from infra.settings_vendors import require_vendor
from millrace.contracts.job import Retry

Seconds = Annotated[float, Field(gt=0, le=10 * 365 * 86_400)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
LIVE_PATH = r"/[A-Za-z0-9._~/-]{1,200}"
LivePath = Annotated[str, StringConstraints(pattern=rf"^{LIVE_PATH}$")]
LiveUrl = Annotated[str, StringConstraints(pattern=rf"^wss?://[^\s/?#@]+{LIVE_PATH}$")]

DAY = 86_400


class Section(BaseModel):
    """Base of every part of the settings: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _policy(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


# A retry policy, or the name of its kind.
Backoff = Annotated[Retry, BeforeValidator(_policy)]


class Switch(Section):
    """Something that is on or off."""

    enabled: bool = True


class Module(Section):
    """Base of the modules. A module whose section is present is enabled unless the section says otherwise."""

    enabled: bool = True

    def vendors(self) -> dict[str, str]:
        """The vendor chosen at each replaceable part in use, by its key below `modules`."""
        return {}

    def require_supported(self) -> tuple[str, ...]:
        """Return when an enabled module can be composed with the vendors it names: notices for the log.

        Raises:
            UnsupportedVendor: one of them is neither built in nor an installed adapter.
        """
        if not self.enabled:
            return ()
        answers = [require_vendor(key, vendor) for key, vendor in self.vendors().items()]
        return tuple(notice for notice in answers if notice is not None)


class Storage(Switch):
    """Where a module's read model is."""

    type: str = "postgresql"
    url: SecretStr | None = None
    table: str | None = None


class Cached(Switch):
    """A cache in front of something; `ttl` in seconds."""

    ttl: Seconds = 3_600.0


class Cleanup(Switch):
    """How long ended progresses are kept, in seconds."""

    retain_completed: Seconds = 1.0 * DAY
    retain_failed: Seconds = 7.0 * DAY

    def ages(self) -> dict[str, float]:
        """Seconds by status; what was cancelled is kept like what has failed."""
        if not self.enabled:
            return {}
        return {"completed": self.retain_completed, "failed": self.retain_failed, "cancelled": self.retain_failed}


class Realtime(Switch):
    """Live updates over a WebSocket.

    Attributes:
        websocket_url: the service answers at its path; scheme and host are those of whatever stands before it.
    """

    websocket_url: LiveUrl = "ws://localhost:8000/ws/progress"

    @property
    def path(self) -> str:
        """Where the service answers."""
        return urlsplit(self.websocket_url).path


class Sampling(Section):
    """Which updates are recorded: those that come `seconds` after the last event, or that are `percent` ahead of it.

    The last one is recorded within a second in any case; stages and ends always are.

    Attributes:
        seconds: more than one makes no difference, for what was not recorded is within a second.
        percent: of the whole.
    """

    seconds: Seconds | None = 1.0
    percent: Annotated[float, Field(gt=0, le=100)] | None = None


class TypeOfWork(Section):
    """What is laid down for the progress of one type.

    Attributes:
        metadata_schema: JSON Schema (2020-12) that the metadata has to fit.
        transitions: the stages that each stage may be followed by; without it any later one.
        validator: `package.module:function` of (stage before or None, stage after, metadata); False, or a ValueError,
            refuses the change of stage.
        stall_after: seconds of silence, for those that say nothing themselves.
    """

    metadata_schema: dict[str, Any] | None = None
    transitions: dict[str, tuple[str, ...]] | None = None
    validator: str | None = None
    stall_after: Annotated[float, Field(ge=1)] | None = None


class Progress(Module):
    """Progress of long work.

    Attributes:
        stall_after: seconds of silence after which an event says so, where neither a progress nor its type says any.
        types: by the `type` that a progress is created with.
    """

    storage: Storage = Storage()
    cache: Cached = Cached()
    cleanup: Cleanup = Cleanup()
    realtime: Realtime = Realtime()
    sampling: Sampling = Sampling()
    stall_after: Annotated[float, Field(ge=1)] | None = None
    types: dict[str, TypeOfWork] = Field(default_factory=dict)

    def vendors(self) -> dict[str, str]:
        """The read model's database."""
        return {"progress.storage.type": self.storage.type}


class ObjectStorage(Section):
    """Where exported files are."""

    type: str = "local"
    path: str = "./exports"
    bucket: str | None = None
    region: str | None = None
    public_url: str | None = None


class ExportFormat(Switch):
    """One file format."""

    pretty: bool = False
    template_dir: str | None = None


class ExportJobs(Section):
    """Limits of one export: seconds and bytes."""

    timeout: Seconds = 300.0
    max_size: Annotated[int, Field(ge=1)] = 1_073_741_824


class Downloads(Section):
    """Links to exported files; `ttl` in seconds."""

    ttl: Seconds = 1.0 * DAY
    token_required: bool = False


class Exports(Module):
    """Documents made from data."""

    storage: ObjectStorage = ObjectStorage()
    formats: dict[str, ExportFormat] = Field(default_factory=dict)
    jobs: ExportJobs = ExportJobs()
    downloads: Downloads = Downloads()

    def vendors(self) -> dict[str, str]:
        """The object storage."""
        return {"exports.storage.type": self.storage.type}
