"""The servers of the race: a database for each peer and a virtual host, made for the run and dropped after it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import psycopg
import redis
from psycopg import sql

SECONDS = 60.0
REDIS_DATABASES = range(15, 0, -1)
FULL_RIGHTS = {"configure": ".*", "write": ".*", "read": ".*"}


class ServersMissing(Exception):
    """Raised when a server of the race is not named or does not let us make what the race needs."""


@dataclass(slots=True)
class Servers:
    """Where the servers are. Everything made here carries the run's own name, and `with` drops it."""

    postgres: str
    rabbitmq: str
    redis: str
    management: str
    run: str
    _databases: set[str]

    @classmethod
    def of_environment(cls) -> Self:
        """The servers that DATABASE_URL, RABBITMQ_URL, RABBITMQ_MANAGEMENT_URL and REDIS_URL name.

        Raises:
            ServersMissing: one of the first three is not set.
        """
        names = ("DATABASE_URL", "RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL")
        missing = [name for name in names if not os.environ.get(name)]
        if missing:
            raise ServersMissing(
                f'{", ".join(missing)} not set; run make bench, or eval "$(infra/services.sh env)" first'
            )
        postgres, rabbitmq, management = (os.environ[name] for name in names)
        return cls(postgres, rabbitmq, "", management, uuid.uuid4().hex[:8], set())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for name in list(self._databases):
            self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        with self.management_api() as api:
            api.delete(f"/vhosts/{self.vhost}")
        if self.redis:
            with redis.Redis.from_url(self.redis) as client:
                client.flushdb()

    @property
    def vhost(self) -> str:
        return f"bench-{self.run}"

    @property
    def amqp(self) -> str:
        """Address of the race's virtual host."""
        return urlunsplit(urlsplit(self.rabbitmq)._replace(path=f"/{self.vhost}"))

    def database(self, peer: str) -> str:
        """Address of the peer's database, which is made with the first call."""
        name = f"bench_{self.run}_{peer.replace('-', '_')}"
        if name not in self._databases:
            self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            self._databases.add(name)
        return urlunsplit(urlsplit(self.postgres)._replace(path=f"/{name}"))

    def take_redis(self) -> None:
        """Takes a database of the Redis server that holds nothing: the peers empty theirs again and again.

        Raises:
            ServersMissing: REDIS_URL is not set, nothing answers there, or every database holds something.
        """
        url = os.environ.get("REDIS_URL")
        if not url:
            raise ServersMissing("REDIS_URL is not set")
        for number in REDIS_DATABASES:
            candidate = urlunsplit(urlsplit(url)._replace(path=f"/{number}"))
            with redis.Redis.from_url(candidate) as client:
                try:
                    if client.set("bench", self.run, nx=True) and client.dbsize() == 1:
                        self.redis = candidate
                        return
                    if client.get("bench") == self.run.encode():
                        client.delete("bench")
                except redis.RedisError as error:
                    raise ServersMissing(f"Redis cannot be used: {error}") from error
        raise ServersMissing("every database of the Redis server holds something already")

    def empty_broker(self) -> None:
        """Makes the virtual host anew, without queues and messages."""
        user = urlsplit(self.rabbitmq).username or "guest"
        operator = urlsplit(self.management).username or user
        with self.management_api() as api:
            api.delete(f"/vhosts/{self.vhost}")
            api.put(f"/vhosts/{self.vhost}").raise_for_status()
            for name in {user, operator}:
                api.put(f"/permissions/{self.vhost}/{quote(name, safe='')}", json=FULL_RIGHTS).raise_for_status()

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.postgres, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)

    @contextmanager
    def management_api(self) -> Iterator[httpx.Client]:
        """A client of RabbitMQ's management interface.

        Raises:
            ServersMissing: it does not answer.
        """
        url = urlsplit(self.management)
        auth = httpx.BasicAuth(url.username or "guest", url.password or "guest")
        base = f"{url.scheme}://{url.hostname}:{url.port}/api"
        with httpx.Client(base_url=base, auth=auth, timeout=SECONDS, trust_env=False) as api:
            try:
                yield api
            except httpx.TransportError as error:
                raise ServersMissing(f"RabbitMQ's management interface does not answer at {base}: {error}") from error
