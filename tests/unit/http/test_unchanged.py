"""Responses are those of the application without us, but for ``X-Request-ID``; queries are as few."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.contrib import auth
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.conftest import LogOutput
from tests.project import http_views as views
from tests.support.handlers import OURS, URLS, Answer, serve

pytestmark = [pytest.mark.django_db, URLS]

WITHOUT_US = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
WITH_US = [OURS, *WITHOUT_US]
PLAIN = sorted({*views.PLAIN} - {"exit", "interrupt", "bound", "helpers", "own_id"})
PATHS = [
    *[f"/http/{name}/" for name in [*PLAIN, *views.USERS, *views.STREAMS]],
    *[f"/http/async/{name}/" for name in [*PLAIN, *views.ASYNC_USERS, *views.ASYNC_STREAMS]],
]
PROJECT = ["/nowhere/", "/api/fail/", "/ping/", "/api/users/me/", "/http/pattern/7/"]
STATES = (
    "anonymous",
    "logged in",
    "expired",
    "unknown",
    "garbage",
    "unverified",
    "empty",
    "no hash",
    "other backend",
    "old secret",
)
#: Django's look-up writes something in these: the view's own is made anew, so that what it does is Django's doing.
WRITING = ("expired", "unknown", "unverified", "no hash", "old secret")


@pytest.fixture(autouse=True)
def _fallback(settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = ["the old one"]


@pytest.fixture
def user(db: None) -> Any:
    return auth.get_user_model().objects.create(username="invoker", password="as if it were hashed")


@pytest.fixture
def sessions(user: Any, settings: Any) -> dict[str, str | None]:
    """A session cookie for each state that a browser may be in."""
    return make_sessions(user, settings)


def make_sessions(user: Any, settings: Any) -> dict[str, str | None]:
    def session(expires: Any = None, **changes: Any) -> str:
        store = import_module(settings.SESSION_ENGINE).SessionStore()
        store[auth.SESSION_KEY] = str(user.pk)
        store[auth.BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        store[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
        store.update(changes)
        if expires is not None:
            store.set_expiry(expires)
        store.save()
        return str(store.session_key)

    empty = import_module(settings.SESSION_ENGINE).SessionStore()
    empty["seen"] = 1
    empty.save()
    return {
        "anonymous": None,
        "logged in": session(seen=3),
        "expired": session(expires=timezone.now() - timedelta(days=1)),
        "unknown": "a" * 32,
        "garbage": "x",
        "unverified": session(**{auth.HASH_SESSION_KEY: "0" * 64}),
        "empty": empty.session_key,
        "no hash": session(**{auth.HASH_SESSION_KEY: ""}),
        "other backend": session(**{auth.BACKEND_SESSION_KEY: "no.such.Backend"}),
        "old secret": _with_old_secret(session, user, settings),
    }


def _with_old_secret(session: Any, user: Any, settings: Any) -> str:
    """A session whose hash was made with a secret that is a fallback by now."""
    with override_settings(SECRET_KEY="the old one"):
        old = user.get_session_auth_hash()
    return session(**{auth.HASH_SESSION_KEY: old})


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """Undo what is done to the database in the block."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def asked(path: str, **options: Any) -> tuple[Answer, list[str]]:
    """Return the answer and the statements that it took, besides savepoints."""
    with undone(), CaptureQueriesContext(connection) as queries:
        answer = serve(path, **options)
    return answer, [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.leaves_bound
def test_every_view_answers_as_without_us(
    log_output: LogOutput, sessions: dict[str, str | None], is_async: bool, state: str
) -> None:
    """Status, headers, cookies and body are the same. Session and user are looked up once; twice where a look-up writes."""
    for path in [*PATHS, *PROJECT]:
        bare, bare_queries = asked(path, is_async=is_async, session=sessions[state], middleware=WITHOUT_US)
        ours, our_queries = asked(path, is_async=is_async, session=sessions[state], middleware=WITH_US)
        assert ours.headers.get("X-Request-ID"), path
        assert ours.without("X-Request-ID") == bare, path
        looks, others = looked_up(our_queries)
        # Who logs in and asks again (Django 5.2's auser) looks at another session than the one that came.
        most = max(map(looks.count, looks), default=0)
        assert most <= (2 if state in WRITING else 1) or "log_in" in path, (path, looks)
        assert others == looked_up(bare_queries)[1], (path, others)
        assert state != "anonymous" or len(our_queries) == len(bare_queries), path


def looked_up(queries: list[str]) -> tuple[list[str], list[str]]:
    """Return which of session and user were looked up, and what else was asked, each by its first words."""
    looks, others = [], []
    for query in queries:
        where = query.partition("WHERE")[2]
        if query.startswith("SELECT") and "django_session" in query and "expire_date" in where:
            looks.append("session")
        elif query.startswith("SELECT") and '"auth_user"."id" = ' in where:
            looks.append("user")
        else:
            others.append(" ".join(query.split()[:3]))
    return looks, others


@pytest.mark.parametrize("path", ["/http/ok/", "/http/who/", "/http/who_twice/", "/nowhere/", "/http/boom/"])
def test_a_request_without_a_session_cookie_costs_no_query(log_output: LogOutput, user: Any, path: str) -> None:
    """We ask the database nothing, and the view's own look asks nothing either."""
    assert asked(path)[1] == []


@pytest.mark.parametrize(
    "path", ["/http/ok/", "/http/who/", "/http/who_twice/", "/http/async/who/", "/nowhere/", "/http/boom/"]
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_session_costs_two_queries_whether_the_view_looks_or_not(
    log_output: LogOutput, sessions: dict[str, str | None], path: str, is_async: bool
) -> None:
    """Session and user are looked up once each, the view's own use included."""
    assert len(asked(path, session=sessions["logged in"], is_async=is_async)[1]) == 2


@pytest.mark.parametrize("path", ["/http/ok/", "/http/who/"])
def test_without_a_field_of_the_user_nothing_is_asked(
    log_output: LogOutput, sessions: dict[str, str | None], settings: Any, path: str
) -> None:
    """``USER_ID_FIELD: None`` leaves session and user to the view alone."""
    settings.DTX_TELEMETRY = {"USER_ID_FIELD": None}
    queries = asked(path, session=sessions["logged in"])[1]
    assert len(queries) == (0 if path == "/http/ok/" else 2)
    assert "user.id" not in log_output.text


@pytest.mark.parametrize("engine", ["cache", "cached_db", "signed_cookies", "file"])
@pytest.mark.parametrize("state", STATES)
def test_every_kind_of_session_is_left_alone(
    log_output: LogOutput, user: Any, settings: Any, tmp_path: Any, engine: str, state: str
) -> None:
    """Whatever holds the sessions: headers and cookies are those of the application without us."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    for path in (
        "/http/ok/",
        "/http/who/",
        "/http/who_twice/",
        "/http/write_session/",
        "/http/log_out/",
        "/http/flush_session/",
    ):
        bare = asked(path, session=make_sessions(user, settings)[state], middleware=WITHOUT_US)[0]
        ours = asked(path, session=make_sessions(user, settings)[state], middleware=WITH_US)[0]
        assert ours.without("X-Request-ID") == bare, path


@pytest.mark.parametrize("state", ["anonymous", "logged in", "expired"])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.leaves_bound
def test_it_holds_at_every_place_in_middleware(
    log_output: LogOutput, sessions: dict[str, str | None], state: str, place: int
) -> None:
    """First, in the middle or last: the responses are the same."""
    with_us = [*WITHOUT_US[:place], OURS, *WITHOUT_US[place:]]
    for path in ("/http/ok/", "/http/who/", "/http/missing/", "/http/log_in/", "/http/stream/"):
        bare, ours = (asked(path, session=sessions[state], middleware=middleware)[0] for middleware in (WITHOUT_US, with_us))
        assert ours.without("X-Request-ID") == bare, path


def test_saving_every_session_stays_the_same(log_output: LogOutput, sessions: dict[str, str | None], settings: Any) -> None:
    """SESSION_SAVE_EVERY_REQUEST saves what it would save."""
    settings.SESSION_SAVE_EVERY_REQUEST = True
    for state in STATES:
        bare, ours = (
            asked("/http/ok/", session=sessions[state], middleware=middleware)[0] for middleware in (WITHOUT_US, WITH_US)
        )
        assert ours.without("X-Request-ID") == bare, state
