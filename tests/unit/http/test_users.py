"""``user.id``: who it was, whatever kind of user, from the view's first line on."""

import copy
import functools
import json
import pickle
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends import file
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import TokenAuthentication
from rest_framework.authtoken.models import Token

from dtx_telemetry import config
from dtx_telemetry.context import user_id
from dtx_telemetry.http import users
from dtx_telemetry.middleware import TelemetryMiddleware
from tests.conftest import LogOutput
from tests.project.views import Me
from tests.support.handlers import URLS, serve
from tests.support.processes import ROOT

pytestmark = URLS
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def user(db: None) -> Any:
    return auth.get_user_model().objects.create(username="invoker", password="as if it were hashed")


@pytest.fixture
def session(user: Any) -> str:
    """The session cookie of a browser that is logged in."""
    return made_session(user).session_key or ""


def made_session(user: Any) -> SessionStore:
    store = SessionStore()
    store[auth.SESSION_KEY] = str(user.pk)
    store[auth.BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return store


def arrived(session: str | None, store: type[SessionBase] = SessionStore) -> Any:
    """Return a request as it is when the view is about to run."""
    request = RequestFactory().get("/x/")
    request.session = store(session)
    AuthenticationMiddleware(lambda request: HttpResponse()).process_request(request)
    return request


class Verified:
    """Wraps both users in partials, as django-otp does."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.user = SimpleLazyObject(functools.partial(self._verify, request, request.user))
        request.auser = functools.partial(self._averify, request, request.auser)
        return self.get_response(request)

    def _verify(self, request: Any, user: Any) -> Any:
        user.is_verified = True
        return user

    async def _averify(self, request: Any, auser: Any) -> Any:
        return self._verify(request, await auser())


class Hijacked:
    """Wraps a copy of the user in a closure, as django-hijack does."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        user = request.user
        request.user = SimpleLazyObject(lambda: self._set_up(request, copy.copy(user)))
        return self.get_response(request)

    def _set_up(self, request: Any, user: Any) -> Any:
        user.is_hijacked = bool(request.session.get("hijack_history", []))
        return user


WRAPPERS = pytest.mark.parametrize("wrappers", [[Verified], [Hijacked], [Verified, Hijacked], [Hijacked, Verified]], ids=str)


def wrapped(request: Any, wrappers: list[Any]) -> Any:
    """Return *request* with its user wrapped by each of the middlewares in turn."""
    for wrapper in wrappers:
        wrapper(lambda request: HttpResponse())(request)
    return request


def look(request: Any) -> Any:
    """Return the user that the middleware finds."""
    user, look_up = users.find(request)
    return user if look_up is None else look_up.user()


async def alook(request: Any) -> Any:
    user, look_up = users.find(request)
    return user if look_up is None else await look_up.auser()


class Odd:
    """A user of no model."""

    is_authenticated = True

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Raising:
    is_authenticated = True

    @property
    def pk(self) -> int:
        raise RuntimeError("who am I")


class RaisingAtOnce:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def closing_with(user: Any, log_output: LogOutput) -> dict[str, Any]:
    """Return the closing event of a request whose view sets *user*."""

    def view(request: Any) -> HttpResponse:
        request.user = user
        telemetry.process_view(request)
        return HttpResponse()

    telemetry = TelemetryMiddleware(view)
    assert telemetry(RequestFactory().get("/x/")).status_code == 200
    return log_output.one("request_completed")


class TestWhoIsKnown:
    """The user is on the view's lines and on the closing line."""

    @BOTH
    def test_a_session_user_is_on_every_line_from_the_view_on(
        self, log_output: LogOutput, user: Any, session: str, is_async: bool
    ) -> None:
        """The view needs not have asked for it."""
        serve("/http/async/who/" if is_async else "/http/who/", session=session, is_async=is_async)
        assert log_output.one("who")["user.id"] == user.pk
        assert log_output.one("request_completed")["user.id"] == user.pk

    def test_a_view_that_never_looks_has_the_user_on_its_lines(self, log_output: LogOutput, user: Any, session: str) -> None:
        """We looked in its place."""
        serve("/http/ok/", session=session)
        assert log_output.one("seen")["user.id"] == user.pk

    @pytest.mark.parametrize("path", ["/http/missing/", "/nowhere/"])
    def test_a_request_without_a_view_has_the_user_too(self, log_output: LogOutput, user: Any, session: str, path: str) -> None:
        """On its closing line at the latest."""
        serve(path, session=session)
        assert log_output.one("request_completed")["user.id"] == user.pk

    @BOTH
    def test_nobody_is_nobody(self, log_output: LogOutput, db: None, is_async: bool) -> None:
        """Without a session there is no such field."""
        serve("/http/async/who/" if is_async else "/http/who/", is_async=is_async)
        assert "user.id" not in log_output.text

    @BOTH
    def test_who_logs_in_is_on_the_closing_line(self, log_output: LogOutput, user: Any, is_async: bool) -> None:
        """What holds at the end counts."""
        serve("/http/async/log_in/" if is_async else "/http/log_in/", is_async=is_async)
        assert log_output.one("request_completed")["user.id"] == user.pk

    @BOTH
    def test_who_logs_out_is_not_on_the_closing_line(
        self, log_output: LogOutput, user: Any, session: str, is_async: bool
    ) -> None:
        """What holds at the end counts."""
        serve("/http/async/log_out/" if is_async else "/http/log_out/", session=session, is_async=is_async)
        assert "user.id" not in log_output.one("request_completed")

    def test_who_is_logged_in_by_hand_is_on_the_closing_line(self, log_output: LogOutput, user: Any, session: str) -> None:
        """By a view that fills or replaces the session and leaves the user alone, whom nobody asks."""

        def view(request: Any) -> HttpResponse:
            telemetry.process_view(request)
            request.session = SessionStore(session)
            return HttpResponse()

        telemetry = TelemetryMiddleware(view)
        assert telemetry(arrived(None)).status_code == 200
        assert log_output.one("request_completed")["user.id"] == user.pk

    def test_who_becomes_another_is_the_other_at_the_end(self, log_output: LogOutput, session: str) -> None:
        """A view that logs somebody else in."""
        other = auth.get_user_model().objects.create(username="axe")
        serve("/http/log_in/?name=axe", session=session)
        assert log_output.one("request_completed")["user.id"] == other.pk

    def test_the_user_of_a_token_is_on_the_closing_line(self, log_output: LogOutput, user: Any) -> None:
        """Django REST framework authenticates in the view itself."""
        token = Token.objects.create(user=user).key
        assert serve("/api/users/me/", headers={"Authorization": f"Token {token}"}).status == 200
        assert log_output.one("request_completed")["user.id"] == user.pk
        assert token not in log_output.text

    def test_a_token_class_that_binds_its_user_has_it_on_all_lines(
        self, log_output: LogOutput, user: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the recipe for REST framework does. It is gone when the request ends."""
        binding = 'bind_contextvars(**{"user.id": user.pk})'
        assert binding in (ROOT / "dtx_telemetry/docs/recipes.rst").read_text(encoding="utf-8")

        class Binding(TokenAuthentication):
            def authenticate_credentials(self, key: str) -> Any:
                found, token = super().authenticate_credentials(key)
                structlog.contextvars.bind_contextvars(**{"user.id": found.pk})
                return found, token

        monkeypatch.setattr(Me, "authentication_classes", [Binding])
        token = Token.objects.create(user=user).key
        answer = serve("/api/users/me/", headers={"Authorization": f"Token {token}"})
        assert json.loads(answer.body)["bound"]["user.id"] == user.pk
        assert log_output.one("request_completed")["user.id"] == user.pk
        assert "user.id" not in structlog.contextvars.get_contextvars()

    def test_a_wrong_token_is_nobody(self, log_output: LogOutput, db: None) -> None:
        """A refused request has no user."""
        assert serve("/api/users/me/", headers={"Authorization": "Token wrong"}).status == 401
        assert "user.id" not in log_output.one("request_completed")

    @pytest.mark.parametrize("state", ["expired", "unverified"])
    def test_a_session_that_holds_no_longer_is_nobody(self, log_output: LogOutput, user: Any, session: str, state: str) -> None:
        """Nor is it touched: its cookie stays until the view itself looks."""
        if state == "unverified":
            user.password = "changed"
            user.save()
        else:
            connection.cursor().execute("UPDATE django_session SET expire_date = '2001-01-01 00:00:00'")
        answer = serve("/http/ok/", session=session)
        assert "user.id" not in log_output.text
        assert not answer.cookies
        assert "Vary" not in answer.headers


class TestWhatIsTaken:
    """The value of ``user.id``."""

    def test_another_field_is_taken(self, log_output: LogOutput, user: Any, session: str, settings: Any) -> None:
        """``USER_ID_FIELD`` names it."""
        settings.DTX_TELEMETRY = {"USER_ID_FIELD": "username"}
        serve("/http/ok/", session=session)
        assert log_output.one("seen")["user.id"] == "invoker"

    def test_no_field_switches_it_off(self, log_output: LogOutput, session: str, settings: Any) -> None:
        """With ``None`` even a view that looks has no user on its lines."""
        settings.DTX_TELEMETRY = {"USER_ID_FIELD": None}
        serve("/http/who/", session=session)
        assert "user.id" not in log_output.text

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (7, 7),
            ("seven", "seven"),
            (uuid.UUID(int=7), str(uuid.UUID(int=7))),
            (None, None),
            (2**80, 2**80),
            (True, "True"),
            (type("Int", (int,), {})(7), 7),
            (type("Str", (str,), {})("seven"), "seven"),
            (b"seven", "b'seven'"),
        ],
    )
    def test_any_kind_of_id_is_a_number_or_a_text(self, value: Any, expected: Any) -> None:
        """UUIDs and other keys become strings, subclasses plain."""
        found = user_id(Odd(pk=value), "pk")
        assert (found, type(found)) == (expected, type(expected))

    @pytest.mark.parametrize("user", [None, AnonymousUser(), Odd(is_authenticated=False, pk=5), object()])
    def test_who_is_not_authenticated_has_no_id(self, user: Any) -> None:
        """Whatever else it has."""
        assert user_id(user, "pk") is None

    def test_a_user_of_no_model_works(self, log_output: LogOutput) -> None:
        """As those that JSON web tokens give."""
        assert closing_with(Odd(pk="abc"), log_output)["user.id"] == "abc"

    @pytest.mark.telemetry_fails
    @pytest.mark.parametrize("odd", [Raising, RaisingAtOnce, Odd])
    def test_a_user_that_raises_is_said_once_and_left_out(self, log_output: LogOutput, odd: type) -> None:
        """The response is not disturbed, and the request has its event."""
        assert "user.id" not in closing_with(odd(), log_output)
        assert log_output.one("telemetry_failed")["where"] == "user.id"

    def test_a_user_whose_truth_raises_works(self, log_output: LogOutput) -> None:
        """Nothing asks whether it is true."""

        class Untrue(Odd):
            def __bool__(self) -> bool:
                raise RuntimeError("neither")

        assert closing_with(Untrue(pk=4), log_output)["user.id"] == 4


class TestLooking:
    """The look itself leaves no trace."""

    def test_the_lazy_user_stays_the_same_object(self, user: Any, session: str) -> None:
        """Whoever took it before sees what the view sees."""
        request = arrived(session)
        lazy = request.user
        assert look(request) == user
        assert request.user is lazy
        assert not request.session.accessed
        assert lazy.pk == user.pk
        assert request.session.accessed

    def test_it_is_looked_up_once(self, user: Any, session: str, django_assert_num_queries: Any) -> None:
        """Two looks of ours and two of the view: one for the session, one for the user."""
        request = arrived(session)
        with django_assert_num_queries(2):
            look(request)
            assert look(request) == user
            assert request.user == user
            assert look(request) == user

    @WRAPPERS
    def test_a_user_that_middlewares_have_wrapped_is_found(
        self, user: Any, session: str, wrappers: list[Any], django_assert_num_queries: Any
    ) -> None:
        """Without a trace, and the view's own use costs no query more."""
        request = wrapped(arrived(session), wrappers)
        with django_assert_num_queries(2):
            assert look(request) == user
            assert not request.session.accessed
            assert request.user.pk == user.pk
            assert look(request).pk == user.pk
        assert request.session.accessed

    @WRAPPERS
    def test_a_wrapped_user_that_is_no_one_costs_nothing(
        self, db: None, wrappers: list[Any], django_assert_num_queries: Any
    ) -> None:
        """A request without a session's cookie asks nothing."""
        request = wrapped(arrived(None), wrappers)
        with django_assert_num_queries(0):
            assert look(request) is None
        assert not request.session.accessed

    def test_a_wrapped_asynchronous_user_is_looked_up_once(
        self, user: Any, session: str, django_assert_num_queries: Any
    ) -> None:
        """A partial around Django's own ``auser`` gets the one that was found."""
        request = wrapped(arrived(session), [Verified, Verified])
        request.scope = {}
        with django_assert_num_queries(2):
            assert async_to_sync(alook)(request) == user
            assert async_to_sync(request.auser)().is_verified

    def test_what_the_view_would_look_up_again_is_left_to_it(self, user: Any, session: str) -> None:
        """An ``auser`` that hides Django's own."""
        request = arrived(session)
        request.scope, djangos = {}, request.auser

        async def auser() -> Any:
            return await djangos()

        request.auser = auser
        assert users.find(request) == (None, None)
        del request.scope  # no event loop, so no one awaits it
        assert users.find(request)[1] is not None

    @BOTH
    def test_a_wrapped_user_is_on_the_views_lines(self, log_output: LogOutput, user: Any, session: str, is_async: bool) -> None:
        """Through the whole chain."""
        middleware = [*settings.MIDDLEWARE, f"{__name__}.Verified", f"{__name__}.Hijacked"]
        serve("/http/ok/", session=session, is_async=is_async, middleware=middleware)
        assert log_output.one("seen")["user.id"] == user.pk

    def test_what_a_look_does_to_the_session_is_done_once(self, user: Any, session: str, settings: Any) -> None:
        """A session of an old secret gets a new key as the view looks, and only one, however often and in whichever way."""
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", [settings.SECRET_KEY]
        request = arrived(session)
        assert look(request) == user
        assert request.session.session_key == session
        assert request.user == user
        cycled = request.session.session_key
        assert cycled != session
        assert async_to_sync(request.auser)() == user
        assert request.session.session_key == cycled

    async def test_a_look_before_ours_is_not_repeated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A middleware that awaited ``auser`` has found it already."""
        request = arrived("a" * 32)
        request._acached_user = found = Odd(pk=3)
        assert look(request) is found
        assert await alook(request) is found
        request._cached_user = other = Odd(pk=4)
        assert look(request) is other

    @pytest.mark.parametrize("change", ["flush", "user", "clear"])
    def test_a_session_that_the_view_changed_is_looked_at_anew(self, user: Any, session: str, change: str) -> None:
        """The user is what bare Django would find then."""
        other = auth.get_user_model().objects.create(username="axe", password="x")
        request = arrived(session)
        assert look(request) == user
        if change == "user":
            request.session.update(made_session(other))
        else:
            getattr(request.session, change)()
        assert request.user == (other if change == "user" else AnonymousUser())

    def test_an_expired_file_session_is_left_to_the_view(
        self, user: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Django deletes its file, and makes another, as it loads; our look does neither."""
        monkeypatch.setattr(file.SessionStore, "_storage_path", str(tmp_path), raising=False)
        store = file.SessionStore()
        store.update(made_session(user)._session)
        store.set_expiry(timezone.now() - timedelta(days=1))
        store.save()
        request = arrived(store.session_key, file.SessionStore)
        before = {path.name: path.read_text() for path in tmp_path.iterdir()}
        assert not look(request).is_authenticated
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
        assert not request.user.is_authenticated
        assert {path.name for path in tmp_path.iterdir()}.isdisjoint(before)

    @pytest.mark.parametrize("is_async", [False, True])
    def test_loading_the_session_by_hand_is_no_access(
        self, user: Any, session: str, is_async: bool, django_assert_num_queries: Any
    ) -> None:
        """``session.load()`` adds no ``Vary: Cookie``, as without us, and needs not ask the store again."""
        request = arrived(session)
        look(request)
        with django_assert_num_queries(0):
            data = async_to_sync(request.session.aload)() if is_async else request.session.load()
        assert data[auth.SESSION_KEY] == str(user.pk)
        assert not request.session.accessed
        assert not request.session.modified

    def test_a_session_made_anew_by_hand_is_empty(self, user: Any, session: str) -> None:
        """What our look has loaded does not get into it: ``create()`` reads nothing without us either."""
        request = arrived(session)
        look(request)
        request.session.create()
        assert request.session.session_key != session
        assert dict(request.session.items()) == {}
        assert dict(SessionStore(request.session.session_key).items()) == {}

    def test_a_look_that_would_write_is_made_once_by_us(self, log_output: LogOutput, user: Any, session: str) -> None:
        """A session that does not verify costs two queries for us, and two where the view looks, as without us."""
        user.password = "changed"
        user.save()
        with CaptureQueriesContext(connection) as queries:
            serve("/http/ok/", session=session)
        assert len(queries) == 2

    def test_a_session_that_somebody_has_read_is_not_changed_by_a_look(self, user: Any, session: str, settings: Any) -> None:
        """A middleware that has read it holds what Django's look-up would write to."""
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", [settings.SECRET_KEY]
        request = arrived(session)
        before = dict(request.session.items())
        assert look(request) == user
        assert dict(request.session.items()) == before
        assert request.session.session_key == session
        assert not request.session.modified

    def test_a_look_that_fails_leaves_the_views_own_alone(self, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The view meets the error itself, if it looks."""
        request = arrived(session)
        with monkeypatch.context() as patched:
            patched.setattr(SessionStore, "load", _fail)
            with pytest.raises(RuntimeError):
                look(request)
        assert request.user.is_authenticated

    def test_a_user_that_is_not_djangos_own_is_not_forced(self) -> None:
        """A lazy user of another library is not evaluated by us."""
        from django.utils.functional import SimpleLazyObject

        request = arrived("a" * 32)
        request.user = SimpleLazyObject(_fail)
        assert look(request) is None

    @pytest.mark.parametrize("session", [None, object(), "text"])
    def test_a_session_of_another_kind_is_not_touched(self, session: Any) -> None:
        """Only Django's own kind can be copied safely."""
        request = arrived("a" * 32)
        request.session = session
        assert look(request) is None

    def test_a_request_stays_as_portable_as_it_was(self, user: Any, session: str) -> None:
        """It can be copied, deeply too, and pickled, after we looked."""
        made: list[Any] = []

        def view(request: Any) -> HttpResponse:
            telemetry.process_view(request)
            made.extend([copy.deepcopy(request.user), request.user.pk, pickle.loads(pickle.dumps(request))])
            made.append(copy.copy(request))
            return HttpResponse()

        request = arrived(session)
        telemetry = TelemetryMiddleware(view)
        assert telemetry(request).status_code == 200
        assert made[0] == request.user
        assert [made[2].path, made[2].user, made[3].path] == ["/x/", user, "/x/"]

    def test_an_expired_session_can_be_pickled_after_our_look(self, user: Any, session: str) -> None:
        """And is as expired in the copy."""
        connection.cursor().execute("UPDATE django_session SET expire_date = '2001-01-01 00:00:00'")
        request = arrived(session)
        look(request)
        copied = pickle.loads(pickle.dumps(request.session))
        assert copied.get("x") is None
        assert request.session.get("x") is None
        assert request.session.session_key is None
        assert request.session.is_empty()


def _fail(*_: Any) -> Any:
    raise RuntimeError("no database")


@pytest.fixture(autouse=True)
def _settings_anew() -> Iterator[None]:
    yield
    config.reset()
