"""Labels from a path: which resources a URL names, and with which ids.

Pure: the table of resources is given, nothing is read from settings.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

__all__ = ["DEFAULT_PREFIXES", "DEFAULT_RESOURCES", "DEFAULT_WITHOUT_ID", "LabelTable"]

DEFAULT_RESOURCES: Mapping[str, str] = {
    segment: label
    for label, plural in {
        "tournament": "tournaments",
        "draft": "drafts",
        "league": "leagues",
        "organization": "organizations",
        "match": "matches",
        "game": "games",
        "team": "teams",
        "user": "users",
    }.items()
    for segment in (label, plural)
}
DEFAULT_WITHOUT_ID: Sequence[str] = ("standings", "bracket", "stats")
DEFAULT_PREFIXES: Sequence[str] = ("/api/", "/ws/")

# 20 digits hold every unsigned 64 bit key; a longer run of digits is not an id that a database gave out.
_MAX_DIGITS = 20
_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", re.ASCII)
# What REST frameworks let a path end with: /api/tournaments/5.json.
_FORMAT_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]*", re.ASCII)


class LabelTable:
    """Resources by path segment, ready for look-up.

    Args:
        resources: by path segment, its label.
        without_id: labels that take no id. Each is a path segment too, unless *resources* says otherwise.
        prefixes: only paths that start with one of these have labels.
        reserved: fields that no resource's id may take.
    """

    __slots__ = ("_prefixes", "_segments", "id_keys")

    def __init__(
        self,
        resources: Mapping[str, str] = DEFAULT_RESOURCES,
        without_id: Iterable[str] = DEFAULT_WITHOUT_ID,
        prefixes: Iterable[str] = DEFAULT_PREFIXES,
        reserved: Collection[str] = (),
    ) -> None:
        bare = {label: label for label in without_id}
        keys = {label: f"{label}.id" for label in resources.values() if label not in bare}
        #: Each segment's label, and the field of its id, if it takes one.
        self._segments = {
            segment: (label, None if (key := keys.get(label)) in reserved else key)
            for segment, label in {**bare, **resources}.items()
        }
        self._prefixes = tuple(prefixes)
        self.id_keys: Collection[str] = frozenset(key for _, key in self._segments.values() if key is not None)

    def extract(self, path: str) -> dict[str, Any]:
        """Return ``labels`` and the ``{resource}.id`` fields that *path* names, in the path's order.

        An id is the segment after a resource, if it is an integer or a UUID (RFC 9562, kept as it is written), a format
        suffix (``5.json``) aside.
        A path outside the prefixes or without a resource gives an empty dict.
        """
        if not path.startswith(self._prefixes):
            return {}
        labels: list[str] = []
        found: dict[str, Any] = {"labels": labels}
        id_key: str | None = None
        for segment in path.split("/"):
            if segment in self._segments:
                label, id_key = self._segments[segment]
                if label not in labels:
                    labels.append(label)
                elif id_key in found:  # a resource that comes a second time gives its id only if its first mention had none
                    id_key = None
            elif id_key is not None:
                if (value := _as_id(segment)) is not None:
                    found[id_key] = value
                id_key = None
        return found if labels else {}


def _as_id(segment: str) -> int | str | None:
    name, dot, _ = segment.partition(".")
    if dot and _FORMAT_SUFFIX.fullmatch(segment, len(name)):
        segment = name
    if segment.isdecimal() and segment.isascii():
        return int(segment) if len(segment) <= _MAX_DIGITS else None
    return segment if _UUID.fullmatch(segment) else None
