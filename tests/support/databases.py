"""Database servers of this machine, each test run with a database of its own, dropped afterwards.

They are looked for on 127.0.0.1, at the usual ports, with the usual superusers and no password, as a development machine has
them. ``PGUSER`` and ``PGPASSWORD``, ``MYSQL_USER`` and ``MYSQL_PWD`` say otherwise. If one does not answer, its tests skip and
say so. With ``DTX_REQUIRE_POSTGRESQL=1`` or ``DTX_REQUIRE_MARIADB=1``, which ``.ci/run`` sets if the servers answer, they fail.

Three fixtures use it, all for ``tests/system``:

``database_entry``
    runs a test once for each of SQLite (a file), PostgreSQL and MariaDB; it is an entry of ``DATABASES``, for processes by
    ``processes.environ |= in_environ(entry)`` too.
``database_alias``
    is such a database opened in the test's own process: ``connections[database_alias]``, ``objects.using(database_alias)``.
    ``call_command("migrate", database=database_alias, verbosity=0)`` makes the project's tables. All tests of a session have
    the same database: what one leaves there the next one finds.
``server_alias``
    is the same without SQLite.

A test that is about one server alone asks for ``with private_database("postgresql") as entry, opened(entry) as alias``.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["DATABASES", "SERVERS", "in_environ", "opened", "private_database"]

SERVERS = ("postgresql", "mariadb")
DATABASES = ("sqlite", *SERVERS)
_CONNECTION_TIMEOUT = 20


@contextmanager
def private_database(kind: str, folder: Path | None = None) -> Iterator[dict[str, Any]]:
    """Make an empty database for the block; gives its entry of ``DATABASES``.

    Args:
        kind: one of `DATABASES`.
        folder: for SQLite, which has no server.
    """
    name = f"dtx_test_{uuid.uuid4().hex}"
    if kind == "sqlite":
        assert folder is not None
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / f"{name}.sqlite3"), "OPTIONS": {"timeout": 30}}
        return
    server = {"postgresql": _Postgresql, "mariadb": _MariaDB}[kind]()
    try:
        server.execute(f"CREATE DATABASE {name}")
    except server.errors as error:
        if os.environ.get(f"DTX_REQUIRE_{kind.upper()}") == "1":
            raise
        pytest.skip(f"no {kind} takes us on 127.0.0.1: {error}")
    try:
        yield {**server.entry, "NAME": name}
    finally:
        server.execute(f"DROP DATABASE {name}{server.force}")


@contextmanager
def opened(entry: dict[str, Any], alias: str = "server") -> Iterator[str]:
    """Let Django know the database as *alias* for the block; its connections of this thread are closed in the end."""
    from django.db import connections

    connections.databases[alias] = connections.configure_settings({"default": {}, alias: dict(entry)})[alias]
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias], connections.databases[alias]


def in_environ(entry: dict[str, Any]) -> dict[str, str]:
    """Return the environment that makes it the project's database in a process."""
    return {"DTX_TEST_DATABASE": json.dumps(entry)}


class _Postgresql:
    force = " WITH (FORCE)"  # whatever is connected still

    def __init__(self) -> None:
        import psycopg

        self.errors = psycopg.OperationalError
        self.entry = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": 5432,
            "USER": os.environ.get("PGUSER", "postgres"),
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "OPTIONS": {"connect_timeout": _CONNECTION_TIMEOUT},
        }

    def execute(self, statement: str) -> None:
        import psycopg

        user, password = self.entry["USER"], self.entry["PASSWORD"]
        options = {"host": "127.0.0.1", "port": 5432, "dbname": "postgres", "connect_timeout": _CONNECTION_TIMEOUT}
        with psycopg.connect(user=user, password=password, autocommit=True, **options) as connection:
            connection.execute(statement.encode())


class _MariaDB:
    force = ""

    def __init__(self) -> None:
        import pymysql

        pymysql.install_as_MySQLdb()  # Django knows mysqlclient alone, which has to be compiled
        self.errors = pymysql.err.OperationalError
        self.entry = {
            "ENGINE": "django.db.backends.mysql",
            "HOST": "127.0.0.1",
            "PORT": 3306,
            "USER": os.environ.get("MYSQL_USER", "root"),
            "PASSWORD": os.environ.get("MYSQL_PWD", ""),
            "OPTIONS": {"connect_timeout": _CONNECTION_TIMEOUT, "charset": "utf8mb4"},
        }

    def execute(self, statement: str) -> None:
        import pymysql

        user, password = self.entry["USER"], self.entry["PASSWORD"]
        connection = pymysql.connect(
            host="127.0.0.1", port=3306, user=user, password=password, connect_timeout=_CONNECTION_TIMEOUT
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
