"""What is bound, as structlog's context variables hold it: read, changed, and switched as a whole.

What the application binds by ``structlog.contextvars`` itself is part of it.
"""

from collections.abc import Mapping
from contextvars import ContextVar, copy_context
from typing import Any

from structlog import contextvars as _structlog

__all__ = [
    "OWN_KEYS",
    "bind",
    "bound",
    "bound_request_id",
    "is_known",
    "replace",
    "switch",
    "unbind",
    "variables",
]

# In the order in which lines show them.
_OWN_KEYS = (
    *("request.id", "user.id", "labels", "ws.conn_id", "task.id", "task.name", "command.name", "operation.name"),
    *("scope.id", "scope.cause"),
)
#: The keys that this library binds, the ids of resources aside (those depend on the configured table).
OWN_KEYS = frozenset(_OWN_KEYS)

_PREFIX = _structlog.STRUCTLOG_KEY_PREFIX
_PREFIX_LENGTH = len(_PREFIX)
# structlog's registry of its variables: reading it costs what is bound, while walking the whole context
# (structlog's get_contextvars) costs what every other library holds there too. It has been there since structlog 21.1.
_VARIABLES: dict[str, ContextVar[Any]] = _structlog._CONTEXT_VARS
# So many that an application must have made up keys as it went along; then the context may be the shorter one to walk.
_MANY = 64


def _variable(key: str) -> ContextVar[Any]:
    """Return the variable that structlog keeps *key* in, made if nothing was ever bound under it.

    If two threads bind a new key at once, structlog may make two variables, and one is lost with what it holds. Two threads
    that come here agree on one. Created lazily: each variable adds one look-up to every line and scope.
    """
    name = _PREFIX + key
    return _VARIABLES.get(name) or _VARIABLES.setdefault(name, ContextVar(name, default=...))


# Those that an application may bind by structlog itself are there before it can.
_request_id, *_ = map(_variable, ("request.id", "user.id", "labels"))


class _Known:
    """The keys ever bound up to now, with what reads and sets each. Never changed: threads read it while another makes anew.

    Attributes:
        count: how many they are.
        readers: each key with what reads it, in the order in which lines show them.
        setters: what sets each key, by key.
    """

    __slots__ = ("count", "readers", "setters")

    def __init__(self) -> None:
        variables = {name[_PREFIX_LENGTH:]: variable for name, variable in _VARIABLES.copy().items()}
        ordered = {key: variables[key] for key in _OWN_KEYS if key in variables} | variables
        self.count = len(variables)
        self.readers = tuple((key, variable.get) for key, variable in ordered.items())
        self.setters = {key: variable.set for key, variable in ordered.items()}


_known = _Known()


def _current_keys() -> _Known:
    """Return what is known now. structlog only ever adds variables, so their number tells whether it is complete."""
    global _known  # noqa: PLW0603 - one name, so that what is behind it changes as a whole
    known = _known
    if known.count != len(_VARIABLES):
        _known = known = _Known()
    return known


def bound() -> dict[str, Any]:
    """Return everything that is bound now, the application's own included, as a new dict."""
    if len(_VARIABLES) > _MANY and len(context := copy_context()) < len(_VARIABLES):
        return {
            variable.name[_PREFIX_LENGTH:]: value
            for variable, value in context.items()
            if value is not ... and _VARIABLES.get(variable.name) is variable
        }
    known = _known
    if known.count != len(_VARIABLES):  # at each line: most need no call to learn that nothing is new
        known = _current_keys()
    found = {}
    for name, read in known.readers:  # in Python 3.11 a comprehension is one more call
        if (value := read()) is not ...:
            found[name] = value
    return found


def bind(fields: Mapping[str, Any]) -> None:
    """Bind *fields* from here on, until the scope around is left."""
    known = _current_keys()
    for key, value in fields.items():
        setter = known.setters.get(key) or _variable(key).set
        setter(value)


def unbind(key: str) -> None:
    """Take *key* out of what is bound, if it is."""
    known = _current_keys()
    if key in known.setters:
        known.setters[key](...)


def bound_request_id() -> str | None:
    """Return the bound ``request.id``, or ``None`` if nothing is bound."""
    value = _request_id.get()
    return None if value is ... else value


def is_known(key: str) -> bool:
    """Return True if *key* is one of ours, or was bound in this process before."""
    return key in OWN_KEYS or _PREFIX + key in _VARIABLES


def variables() -> int:
    """Return how many different keys were bound in this process so far. Each one is kept for good."""
    return len(_VARIABLES)


def replace(then: Mapping[str, Any]) -> dict[str, Any]:
    """Make *then* what is bound, and return what was."""
    now = bound()
    switch(now, then)
    return now


def switch(now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
    """Make *then* what is bound, knowing that *now* is."""
    setters = _known.setters
    try:
        for key in now:
            if key not in then:
                setters[key](...)
        for key, value in then.items():
            if key not in now or now[key] is not value:
                setters[key](value)
    except KeyError:  # something that was not known yet; to bind what is bound already does no harm
        for key in now.keys() - then.keys():
            unbind(key)
        bind(then)
