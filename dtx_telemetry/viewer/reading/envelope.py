"""Finds lines in whatever platforms put around them: text before and behind, objects and arrays, texts in those.

Envelopes are known by their kind and not by their name: a line may be the value of any key, as an object or as a text, some
levels deep. What they say of service, container, pod and host goes along.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

from .line import LEVELS, Line, has_own_values, to_json
from .usual import flat, own_level, usual_fields

__all__ = ["parse", "parse_all", "parse_plain"]

Above = tuple[Mapping[str, Any], ...]

#: How many keys and places in arrays may lead to a line.
_MAX_DEPTH = 12
#: How many braces of a text are tried.
_MAX_TRIES = 32
#: A longer text before a line says nothing of where it comes from.
_MAX_BEFORE = 1000
_DECODER = json.JSONDecoder()
#: What platforms call where a line comes from, in lower case and without underscores at the beginning.
_ROLES = {
    **dict.fromkeys(("service", "service_name", "service.name", "servicename", "app", "app_name", "application"), "service"),
    **dict.fromkeys(("app.kubernetes.io/name", "com.docker.compose.service", "syslog_identifier", "job"), "service"),
    **dict.fromkeys(("pod", "pod_name", "podname", "k8s.pod.name", "logstreamname", "logstream"), "pod"),
    **dict.fromkeys(("container", "container_name", "containername", "k8s.container.name", "tag"), "container"),
    **dict.fromkeys(("host", "hostname", "host.name", "node", "node_name", "nodename"), "host"),
}
#: The objects in which they say so.
_PLACES = frozenset({"kubernetes", "k8s", "labels", "stream", "resource", "attrs", "metadata", "docker", "fields"})
_NAMED = frozenset({"service", "pod", "container", "host"})
#: Text before a line: `kubectl logs --prefix`, `docker compose logs`, `stern`, `logcli`.
_KUBECTL = re.compile(r"\[pod/(?P<pod>[^/\]\s]+)/(?P<container>[^\]\s]+)\]")
_COMPOSE = re.compile(r"(?<![\w.-])(?P<container>[\w.-]++) +\| *$")
_STERN = re.compile(r"(?<![\w.-])(?P<pod>[a-z0-9][\w.]*-[\w.-]*) (?:\u203a )?(?P<container>[a-z0-9][\w.-]*) $")
_LOGCLI = re.compile(r'(?<![\w./-])([\w./-]++)="([^"]*)"')
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def parse(raw: bytes) -> Line | None:
    """Return the first line that is in *raw*, ``None`` if there is none."""
    lines = parse_all(raw)
    return lines[0] if lines else None


def parse_plain(raw: bytes) -> Line | None:
    """Return the line that *raw* is, with nothing around it. Written out, since this is done for every line that is read."""
    try:
        value = orjson.loads(raw)
        if has_own_values(value) and value["level"] in LEVELS:
            return Line(value, raw)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    return None


def parse_all(raw: bytes) -> list[Line]:
    """Return the lines that are in *raw*, whatever is around them."""
    if raw.startswith((b"{", b"[")):
        line = parse_plain(raw)
        if line is not None:
            return [line]
        try:
            return _once(_in_value(orjson.loads(raw), (), 0, {}))
        except orjson.JSONDecodeError:
            pass
    return _in_text(raw)


def _in_text(raw: bytes) -> list[Line]:
    start = raw.find(b"{")
    if start < 0:
        return []
    quick = raw.find(b'{"', start)
    if quick > 0:  # by far the most usual: text before, nothing behind
        try:
            value = orjson.loads(raw[quick:])
        except orjson.JSONDecodeError:
            pass
        else:
            before = raw[:quick].decode(errors="replace")
            return _once(_in_value(value, (_said_before(before),), 0, {}))
    text = raw.decode(errors="replace")
    return _once([line for before, value in _values(text) for line in _in_value(value, (_said_before(before),), 0, {})])


def _values(text: str) -> Iterator[tuple[str, Any]]:
    """Return the JSON objects in *text*, each with the text before it."""
    position = end = tries = 0
    while tries < _MAX_TRIES and (position := text.find("{", position)) >= 0:
        try:
            stop = _DECODER.raw_decode(text, position)[1]
            yield text[end:position], orjson.loads(text[position:stop].encode("utf-8", "replace"))
            position = end = stop
        except (ValueError, RecursionError):
            position += 1
        tries += 1


def _once(lines: list[Line]) -> list[Line]:
    """Leave out what an envelope holds twice: as a text and as an object."""
    if len(lines) < 2:
        return lines
    return [*{to_json(line.fields, orjson.OPT_SORT_KEYS): line for line in reversed(lines)}.values()][::-1]


def _in_value(value: Any, above: Above, depth: int, origins: dict[int, dict[str, str]]) -> list[Line]:
    """Return the lines in a value of JSON.

    Args:
        value: to look at.
        above: the objects that it stands in, the innermost first.
        depth: how many keys and places in arrays led to it.
        origins: what was found out about those by their identity.
    """
    if depth > _MAX_DEPTH:
        return []
    if isinstance(value, dict):
        return _in_object(value, above, depth, origins)
    if isinstance(value, list):
        if value and type(value[0]) is int:
            return _in_bytes(value, above, depth, origins)
        return [line for item in value for line in _in_value(item, above, depth + 1, origins)]
    if isinstance(value, str) and "{" in value:
        try:
            return (
                _in_value(orjson.loads(value), above, depth, origins)
                if value[0] in "{["
                else _in_inner_text(value, above, depth)
            )
        except orjson.JSONDecodeError:
            return _in_inner_text(value, above, depth)
    return []


def _in_inner_text(text: str, above: Above, depth: int) -> list[Line]:
    return [line for before, value in _values(text) for line in _in_value(value, (_said_before(before), *above), depth, {})]


def _in_bytes(value: list[Any], above: Above, depth: int, origins: dict[int, dict[str, str]]) -> list[Line]:
    """Read what journald writes as a list of numbers."""
    try:
        return _in_value(bytes(value).decode(errors="replace"), above, depth, origins)
    except (TypeError, ValueError):
        return []


def _in_object(value: dict[str, Any], above: Above, depth: int, origins: dict[int, dict[str, str]]) -> list[Line]:
    if _is_ours(value):
        fields = flat(value)
        fields["level"] = own_level(fields["level"])
        return [Line(fields, to_json(fields), _origin(above, origins))]
    texts: list[Line] = []
    objects: list[Line] = []
    for item in value.values():
        if isinstance(item, str | list | dict):
            found = _in_value(item, (value, *above), depth + 1, origins)
            (objects if isinstance(item, dict) else texts).extend(found)
    own = None if any(map(_is_surely, [*texts, *objects])) else usual_fields(value, above)
    if own is None:
        return [*texts, *objects]
    # Objects in a line of another library are its fields; a text that is a line was wrapped by a collector.
    return texts or [Line(own, to_json(own), _origin((value, *above), origins))]


def _is_ours(value: Mapping[str, Any]) -> bool:
    try:
        return has_own_values(value)
    except KeyError:
        return False


def _is_surely(line: Line) -> bool:
    """Return whether a line is ours, and no object that merely has a time and a message."""
    return bool(line.own_event) or "scope.id" in line.fields or "request.id" in line.fields


def _origin(above: Above, origins: dict[int, dict[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for outer in above:
        said = origins.get(id(outer))
        if said is None:
            said = origins[id(outer)] = dict(_roles(outer))
        found = said | found
    return found


def _roles(outer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in outer.items():
        name = key.lower().lstrip("_")
        if isinstance(value, str):
            if name in _ROLES and value and "{" not in value:
                yield _ROLES[name], value
        elif isinstance(value, dict):
            if name in _NAMED and isinstance(value.get("name"), str):
                yield name, value["name"]
            if name in _PLACES:
                yield from _roles(value)


def _said_before(text: str) -> Mapping[str, str]:
    """Return what the text before a line says of where it comes from."""
    return _said_in(text) if len(text) <= _MAX_BEFORE else {}


@lru_cache(maxsize=1024)
def _said_in(text: str) -> Mapping[str, str]:
    plain = _COLOUR.sub("", text)
    for pattern in (_KUBECTL, _COMPOSE, _STERN):
        found = pattern.search(plain)
        if found is not None:
            return found.groupdict()
    return dict(_LOGCLI.findall(plain))
