"""The service's own commands: `python -m infra.main serve|rebuild|migrate|topology|doctor`."""

from __future__ import annotations

import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import asyncpg
import typer

from adapters.amqp.errors import BrokerUnavailable, TopologyMismatch
from adapters.amqp.topology import topology as broker_topology
from adapters.http.server import AddressUnavailable, PortInUse
from adapters.postgres.rebuild import RebuildBlocked, RebuildRunning
from domain.ports import StoreUnavailable
from domain.storage import ObjectDamaged, ObjectUnavailable
from infra.archiving import NoAge, NoStorage, archive_now
from infra.composition import ROLES, Role
from infra.embedded_errors import EmbeddedPostgresError
from infra.logging import configure_logging
from infra.maintenance import (
    NoSuchReadModel,
    NotRunning,
    apply_topology,
    check_topology,
    database_dsn,
    diagnose,
    migrate_database,
    rebuild_read_model,
    release_held,
)
from infra.migrate import NewerDatabase
from infra.opening import PostgresUnreachable
from infra.serve import serve as run_service
from infra.settings import Settings, load_settings, settings_file
from infra.settings_errors import SettingsError

EXPECTED = (
    AddressUnavailable,
    BrokerUnavailable,
    EmbeddedPostgresError,
    NewerDatabase,
    NoAge,
    NoStorage,
    NoSuchReadModel,
    NotRunning,
    ObjectDamaged,
    ObjectUnavailable,
    PortInUse,
    PostgresUnreachable,
    RebuildBlocked,
    RebuildRunning,
    SettingsError,
    StoreUnavailable,
    TopologyMismatch,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
T = TypeVar("T")
Data = Annotated[Path | None, typer.Option(help="Data folder of a running `millrace up`; else DATABASE_URL.")]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="The commands of the Millrace service.",
)
topology = typer.Typer(no_args_is_help=True, help="The broker's exchanges, queues and bindings.")
app.add_typer(topology, name="topology")


@app.command()
def serve(
    roles: Annotated[str, typer.Option(help="Comma-separated: api, projector, relay, timers.")] = ",".join(ROLES),
    embedded: Annotated[bool, typer.Option("--embedded", help="Run PostgreSQL in the data folder.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Runs the service, or some of its roles, until it is told to stop."""
    chosen: list[Role] = []
    for name in roles.split(","):
        if name.strip() not in ROLES:
            _fail(f"there is no role {name.strip()!r}; known are {', '.join(ROLES)}")
        chosen.append(name.strip())  # type: ignore[arg-type]
    given = {"data": data, "host": host, "port": port}
    settings = _settings(**{name: value for name, value in given.items() if value is not None})
    _run(run_service(settings, chosen, embedded))


@app.command()
def migrate(data: Data = None) -> None:
    """Brings the database to this release's schema."""
    applied = _run(migrate_database(_dsn(data)))
    typer.echo("\n".join(f"applied {name}" for name in applied) or "the database is up to date")


@app.command()
def rebuild(
    name: Annotated[str, typer.Argument(help="The read model: jobs, subscriptions, schedules or progress.")],
    data: Data = None,
    progress: Annotated[str, typer.Option(help="none, or json for lines of progress.")] = "none",
    verify: Annotated[bool, typer.Option(help="Compare the live read model with the rebuilt one first.")] = True,
) -> None:
    """Builds a read model anew from the log, beside the live one, and switches to it."""

    def show(done: int, total: int) -> None:
        if progress == "json":
            typer.echo(json.dumps({"done": done, "total": total, "phase": "replaying"}))

    rebuilt = _run(rebuild_read_model(_dsn(data), name, show, verify))
    verdict = "" if rebuilt.live is None else f"; equal to the live one: {'yes' if rebuilt.equal else 'NO'}"
    typer.echo(f"rebuilt {name} as version {rebuilt.version} from {rebuilt.events} events{verdict}")
    if rebuilt.live is not None and not rebuilt.equal:
        _fail(f"the live read model was not what the log says (digest {rebuilt.live}, replayed {rebuilt.rebuilt})")


@app.command()
def release(
    name: Annotated[str, typer.Argument(help="The read model that holds the stream.")],
    stream: Annotated[str, typer.Argument(help="The held stream, as `doctor` names it.")],
    data: Data = None,
) -> None:
    """Digests a held stream's events, in order, after the cause has been removed."""
    count = _run(release_held(_dsn(data), name, stream))
    typer.echo(f"{name} has digested {count} events of {stream}")


@app.command()
def archive(
    after: Annotated[
        float | None, typer.Option(help="Seconds since the jobs were removed; default: modules.jobs.archive.after.")
    ] = None,
    data: Data = None,
) -> None:
    """Moves the events of jobs that were removed long ago from the log into the storage. Repeating it is harmless."""
    settings = _settings(**({} if data is None else {"data": data}))
    done = _run(archive_now(settings, _dsn(data), after))
    typer.echo(f"archived {done.streams} jobs ({done.events} events) in {done.objects} objects")


@app.command()
def doctor(data: Data = None) -> None:
    """Checks what the service depends on and says what helps; exits with 1 where something is wrong.

    The settings are those of this command's own environment and folder: give it what the service was started with.
    """
    settings = _settings()
    findings = _run(diagnose(settings, settings_file(os.environ), data))
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.part}: {finding.text}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@topology.command("apply")
def topology_apply() -> None:
    """Declares everything that is missing; repeating it changes nothing."""
    _run(apply_topology(_settings()))
    typer.echo("the topology is declared")


@topology.command("check")
def topology_check() -> None:
    """Tells what is missing or different; exits with 1 if anything is."""
    findings = _run(check_topology(_settings()))
    typer.echo("\n".join(findings) or "the topology is as declared")
    if findings:
        raise typer.Exit(1)


@topology.command("export")
def topology_export() -> None:
    """Prints the topology as definitions that RabbitMQ imports."""
    typer.echo(json.dumps(broker_topology().export(), indent=2))


def _settings(**code: Any) -> Settings:
    try:
        settings = load_settings(**code)
    except SettingsError as error:
        _fail(str(error))
    configure_logging(settings.logging)
    return settings


def _dsn(data: Path | None) -> str:
    try:
        return database_dsn(_settings(), data)
    except NotRunning as error:
        _fail(str(error))


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        import uvloop

        return uvloop.run(work)
    except EXPECTED as error:
        if os.environ.get("MILLRACE_DEBUG"):
            raise
        _fail(str(error) or type(error).__name__)
    except Exception as error:
        if os.environ.get("MILLRACE_DEBUG"):
            raise
        # Neither the message nor a traceback: what is not expected may quote a secret.
        _fail(f"unexpected {type(error).__name__}; MILLRACE_DEBUG=1 shows where")


def _fail(message: str) -> NoReturn:
    typer.echo(f"millrace: {' '.join(message.split())}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="millrace")
