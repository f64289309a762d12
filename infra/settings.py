"""All settings of the service: code over environment over file over defaults, unknown keys refused."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from infra.settings_aliases import canonical
from infra.settings_environment import CONFIG_VARIABLE, environment_tree
from infra.settings_errors import KeyRequired, SettingsError, SettingsFileError, SettingsProblem
from infra.settings_file import DEFAULT_FILE, read_settings_file
from infra.settings_lookup import Modules
from infra.settings_modules import Count, Port, Seconds, Section
from infra.settings_problems import problems
from millrace.contracts.wire import DEFAULT_TENANT, TENANT_PATTERN

Level = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]
Format = Annotated[
    Literal["auto", "console", "json"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]


def _url(*schemes: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        try:
            _ = urlsplit(url.get_secret_value()).port
        except ValueError:
            # The reason is not repeated: it may quote a part of the password.
            raise ValueError("is not a URL; escape special characters in the password, such as / as %2F") from None
        if url.get_secret_value().partition("://")[0].lower() not in schemes:
            raise ValueError("must begin with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return url

    return AfterValidator(check)


def _texts(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _api_keys(value: Any) -> Any:
    if isinstance(value, str):
        if value.lstrip().startswith("{"):
            value = json.loads(value)
        else:
            pairs = (part.strip().rpartition("=") for part in value.split(",") if part.strip())
            value = {(key if tenant else key + sign) or tenant: tenant if key else "" for key, sign, tenant in pairs}
    if isinstance(value, dict):
        return [{"key": key, "tenant": tenant or DEFAULT_TENANT} for key, tenant in value.items()]
    return value


DatabaseUrl = Annotated[SecretStr, _url("postgresql", "postgres")]
RabbitUrl = Annotated[SecretStr, _url("amqp", "amqps")]
RedisUrl = Annotated[SecretStr, _url("redis", "rediss", "unix")]
HttpUrl = Annotated[SecretStr, _url("http", "https")]


Claimable = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9_-]{1,64})$")]


class ApiKey(Section):
    """A key of the HTTP interface and the tenant it acts for.

    Attributes:
        claims_for: other tenants whose jobs workers with the key may claim; `["*"]` is all.
        metrics: lets the key read `/metrics`, which names the queues of all tenants.
    """

    key: Annotated[SecretStr, Field(min_length=8)]
    tenant: Annotated[str, StringConstraints(pattern=TENANT_PATTERN)] = DEFAULT_TENANT
    claims_for: tuple[Claimable, ...] = ()
    metrics: bool = False


class Logging(Section):
    """What is logged, and how.

    Attributes:
        level: of everything.
        modules: levels of single modules (`jobs`) or loggers (`aio_pika`).
        format: `json` is an object a line, `console` a line for people; `auto` is `console` on a terminal, else `json`.
    """

    level: Level = "info"
    modules: dict[str, Level] = Field(default_factory=dict)
    format: Format = "auto"


class Idempotency(Section):
    """How long a repeated command gets the answer of the first one.

    Attributes:
        retention: seconds for which the answer to a command is kept. Clients that repeat a command later may have it
            carried out again.
    """

    retention: Seconds = 604_800.0


class Live(Section):
    """Bounds of the live feed, for each process of the service.

    Attributes:
        connections: WebSockets and event streams of one process.
        tenant_connections: those of one tenant.
        subscriptions: of one connection.
        message_bytes: of one message that a client sends.
        rate: messages per second that a client's are read at, once it has sent `burst`.
        patience: seconds after which a client that takes nothing is cut.
        heartbeat: seconds without news after which a subscriber is told the position.
    """

    connections: Count = 10_000
    tenant_connections: Count = 5_000
    subscriptions: Count = 64
    message_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = 65_536
    rate: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    burst: Count = 100
    patience: Seconds = 10.0
    heartbeat: Seconds = 15.0


class Settings(BaseSettings):
    """Every setting, checked. Making one directly reads neither environment nor file: see `load_settings`.

    Attributes:
        database_url: PostgreSQL; None runs the embedded one in `data`.
        rabbitmq_url: None means the PostgreSQL event bus.
        events_log: RabbitMQ keeps a copy of the newest events (7 days, 1 GB) in the stream `millrace.events.log`.
        host, port: where HTTP listens.
        data: folder of everything that `millrace up` keeps; a relative one counts from the current folder.
        api_keys: keys of the HTTP interface; given as a mapping from key to tenant, or as text `key=tenant,key=tenant`.
        amqp_claims_for: tenants whose jobs each user of RabbitMQ may claim besides those of the tenant it asks for;
            `["*"]` is all. While there is none here and no API key, everybody may claim everybody's.
        allowed_hosts: names accepted in the Host header, besides `host`.
        allowed_origins: web origins accepted for CORS and WebSockets, besides the service's own.
        modules: one section for each module.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

    database_url: DatabaseUrl | None = None
    rabbitmq_url: RabbitUrl | None = None
    events_log: bool = False
    redis_url: RedisUrl | None = None
    weaviate_url: HttpUrl | None = None
    weaviate_api_key: SecretStr | None = None
    qdrant_url: HttpUrl | None = None
    qdrant_api_key: SecretStr | None = None
    cohere_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None
    sendgrid_api_key: SecretStr | None = None
    minio_url: HttpUrl | None = None
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_region: str | None = None
    aws_bucket: str | None = None
    host: Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)] = "127.0.0.1"
    port: Port = 8000
    data: Path = Path(".millrace")
    api_keys: Annotated[tuple[ApiKey, ...], BeforeValidator(_api_keys)] = ()
    amqp_claims_for: dict[str, tuple[Claimable, ...]] = Field(default_factory=dict)
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ("localhost", "127.0.0.1", "[::1]")
    allowed_origins: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ()
    logging: Logging = Logging()
    idempotency: Idempotency = Idempotency()
    live: Live = Live()
    modules: Modules = Modules()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what code gives."""
        return (init_settings,)

    def amqp_claims(self) -> Mapping[str, tuple[str, ...]] | None:
        """Tenants whose jobs each user of RabbitMQ may claim; None where nobody is asked who they are."""
        return self.amqp_claims_for if self.amqp_claims_for or self.api_keys else None

    def web_origins(self) -> tuple[str, ...]:
        """Every origin whose pages may use the service: `allowed_origins`, and those of the inbox's WebSocket."""
        return (*self.allowed_origins, *self.modules.notifications.websocket.cors_origins)

    def require_key_off_loopback(self) -> None:
        """Return when `host` is this machine only, or a key protects the service.

        Raises:
            KeyRequired: it would be open to others without a key.
        """
        if not self.api_keys and not _is_loopback(self.host):
            raise KeyRequired(self.host)


class _Tree(PydanticBaseSettingsSource):
    """One source of settings that is already a tree."""

    def __init__(self, settings_cls: type[BaseSettings], tree: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._tree = tree

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one field."""
        return self._tree.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._tree


def load_settings(file: Path | None = None, environ: Mapping[str, str] | None = None, **code: Any) -> Settings:
    """The settings from all sources: `code` over environment over file over defaults, merged key by key.

    Args:
        file: YAML or JSON; default: the file that `MILLRACE_CONFIG` names, else `config/modules.yaml` if there is one.
        environ: default: this process's environment.
        code: settings by name, in any accepted spelling.

    Raises:
        SettingsError: something is wrong; every wrong key is named, no value is shown.
    """
    variables = os.environ if environ is None else environ
    path = file or settings_file(variables)
    from_file = {} if path is None else read_settings_file(path, variables)
    trees = [code, environment_tree(variables, Settings.model_fields), from_file]
    shaped = [canonical(tree) for tree in trees]

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_Tree(settings_cls, tree) for tree in shaped)

    try:
        return Loaded()
    except ValidationError as error:
        raise SettingsError(*problems(Settings, error)) from None


def settings_file(environ: Mapping[str, str]) -> Path | None:
    """The file that settings are read from: that of `MILLRACE_CONFIG`, else the default one if there is one."""
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


__all__ = [
    "ApiKey",
    "Logging",
    "Settings",
    "SettingsError",
    "SettingsFileError",
    "SettingsProblem",
    "load_settings",
    "settings_file",
]
