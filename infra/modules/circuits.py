"""Circuit breakers."""

from __future__ import annotations

from adapters.postgres.circuits import PostgresCircuits
from handlers import circuit
from handlers.circuit import CircuitWatch, Policies
from handlers.pipeline import Pipeline
from infra.composition import Base, Loop, Module
from infra.settings_jobs import Jobs
from infra.storage import Storage


def circuits(base: Base) -> Module:
    policies = _policies(base.settings.modules.jobs)
    return Module(
        commands=circuit.command_routes(),
        internal=circuit.internal_routes(policies),
        queries=PostgresCircuits(base.storage.commits, base.storage.pool, policies).routes(),
        loops=[Loop(None, "circuits", base.circuits.run)],
    )


def circuit_watch(storage: Storage, pipeline: Pipeline, jobs: Jobs) -> CircuitWatch:
    """What counts how attempts end, with the policies of the configuration file."""
    policies = _policies(jobs)
    return CircuitWatch(PostgresCircuits(storage.commits, storage.pool, policies), pipeline, policies)


def _policies(jobs: Jobs) -> Policies:
    return {name: own.circuit for name, own in jobs.names.items() if own.circuit is not None}
