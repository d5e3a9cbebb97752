"""The ASGI application with what OpenTelemetry's instrumentations of database drivers measure; SQLite's own does no more."""

import sqlite3.dbapi2

from opentelemetry.instrumentation.dbapi import trace_integration

from .asgi import application

__all__ = ["application"]

trace_integration(sqlite3.dbapi2, "connect", "sqlite")
