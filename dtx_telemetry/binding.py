"""What is bound, as structlog's context variables hold it: read, changed, and switched as a whole.

It stands in ``structlog.contextvars``, so what the application binds there itself is part of it.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from typing import Any

from structlog import contextvars as _structlog

__all__ = [
    "OWN_KEYS",
    "add_bound",
    "bind",
    "bound",
    "bound_but_tasks",
    "carried_keys",
    "get_request_id",
    "knows",
    "replace",
    "switch",
    "unbind",
    "variables",
]

# In the order in which lines show them.
_OWN_KEYS = ("request.id", "user.id", "labels", "ws.conn_id", "task.id", "task.name", "command.name")
#: The keys that this library binds, the ids of resources aside (those depend on the configured table).
OWN_KEYS = frozenset(_OWN_KEYS)

_PREFIX = _structlog.STRUCTLOG_KEY_PREFIX
_PREFIX_LENGTH = len(_PREFIX)
# structlog's registry of its variables: reading it costs what is bound, while walking the whole context
# (structlog's get_contextvars) costs what every other library holds there too. It has been there since structlog 21.1.
_VARIABLES: dict[str, ContextVar[Any]] = _structlog._CONTEXT_VARS
# So many that an application must have made up keys as it went along; then the context may be the shorter one to walk.
_MANY = 64
# structlog makes a key's variable when it is first bound, and of two threads that do so at once one loses what it bound:
# ours are made here, before there are threads.
copy_context().run(_structlog.bind_contextvars, **dict.fromkeys(_OWN_KEYS))
_request_id: ContextVar[Any] = _VARIABLES[_PREFIX + "request.id"]


class _Known:
    """The keys ever bound, with what reads and sets each. structlog only adds variables: their number tells of new ones.

    Attributes:
        count: how many they are.
        readers: each key with what reads it.
        setters: what sets each key, by key.
        but_tasks: the readers of those that are not a task's own.
        carried: those that may come with a message.
    """

    __slots__ = ("but_tasks", "carried", "count", "readers", "setters")

    def __init__(self) -> None:
        self.learn()

    def learn(self) -> "_Known":
        """Be up to date; returns itself. Whoever uses it compares the `count` first, without a call."""
        variables = {name[_PREFIX_LENGTH:]: variable for name, variable in _VARIABLES.copy().items()}
        self.readers = tuple((key, variable.get) for key, variable in variables.items())
        self.setters: Mapping[str, Callable[[Any], object]] = {key: variable.set for key, variable in variables.items()}
        self.but_tasks = tuple((key, read) for key, read in self.readers if not key.startswith("task."))
        self.carried = frozenset(key for key, _ in self.but_tasks) - {"request.id"}
        self.count = len(variables)  # the last, for other threads
        return self


_known = _Known()


def bound() -> dict[str, Any]:
    """Return everything that is bound now, the application's own included, as a new dict."""
    if len(_VARIABLES) > _MANY and len(context := copy_context()) < len(_VARIABLES):
        return {
            variable.name[_PREFIX_LENGTH:]: value
            for variable, value in context.items()
            if value is not ... and _VARIABLES.get(variable.name) is variable
        }
    known = _known if _known.count == len(_VARIABLES) else _known.learn()
    return {name: value for name, read in known.readers if (value := read()) is not ...}


def bound_but_tasks() -> dict[str, Any]:
    """Return what `bound` does, without ``task.*``."""
    if len(_VARIABLES) > _MANY:
        return {name: value for name, value in bound().items() if not name.startswith("task.")}
    known = _known if _known.count == len(_VARIABLES) else _known.learn()
    return {name: value for name, read in known.but_tasks if (value := read()) is not ...}


def add_bound(fields: dict[str, Any]) -> bool:
    """Add everything that is bound now to *fields*; return whether each name was new there."""
    if len(_VARIABLES) > _MANY:
        found = bound()
        count = len(fields) + len(found)
        fields |= found
    else:
        count = len(fields)
        known = _known if _known.count == len(_VARIABLES) else _known.learn()
        for name, read in known.readers:
            if (value := read()) is not ...:
                fields[name] = value
                count += 1
    return len(fields) == count


def bind(fields: Mapping[str, Any]) -> None:
    """Bind *fields* from here on, until the scope around is left."""
    _structlog.bind_contextvars(**fields)


def unbind(*keys: str) -> None:
    """Take *keys* out of what is bound; unknown ones are ignored."""
    _structlog.unbind_contextvars(*keys)


def get_request_id() -> str | None:
    """Return the bound ``request.id``, or ``None`` where there is none."""
    value = _request_id.get()
    return None if value is ... else value


def carried_keys() -> frozenset[str]:
    """Return the keys bound in this process before that may come with a message: all but ``request.id`` and ``task.*``."""
    return (_known if _known.count == len(_VARIABLES) else _known.learn()).carried


def knows(key: str) -> bool:
    """Whether *key* was bound in this process before."""
    return _PREFIX + key in _VARIABLES


def variables() -> int:
    """Return how many different keys were bound in this process so far; each one is kept for good."""
    return len(_VARIABLES)


def replace(then: Mapping[str, Any]) -> dict[str, Any]:
    """Make *then* what is bound; return what was."""
    now = bound()
    switch(now, then)
    return now


def switch(now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
    """Make *then* what is bound, knowing that *now* is."""
    setters = (_known if _known.count == len(_VARIABLES) else _known.learn()).setters
    for key in now:
        if key not in then:
            setters[key](...)
    for key, value in then.items():
        if key in now and now[key] is value:
            continue
        setter = setters.get(key)
        if setter is not None:
            setter(value)
        else:
            _structlog.bind_contextvars(**{key: value})
