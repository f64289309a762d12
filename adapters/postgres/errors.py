"""Driver errors become the ports' errors here, and keep their cause."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import asyncpg

from domain.ports import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What the driver says when a connection breaks while it is between two states.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
)


def translated(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A coroutine method whose connection errors are raised as `StoreUnavailable`."""

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(*args, **kwargs)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(f"PostgreSQL cannot be reached: {type(error).__name__}") from error

    return call
