"""Workflows of every form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import chain, chord, group

__all__ = ["CANVASES", "Canvas"]


@dataclass(frozen=True)
class Canvas:
    """One form: how many tasks it runs, and how it is made of a signature that takes no arguments."""

    tasks: int
    make: Callable[[Callable[[], Any]], Any]


CANVASES = {
    "chain": Canvas(3, lambda s: chain(s(), s(), s())),
    "group": Canvas(2, lambda s: group(s(), s())),
    "group of chains": Canvas(4, lambda s: group(chain(s(), s()), chain(s(), s()))),
    "chord": Canvas(3, lambda s: chord([s(), s()], s())),
    "chord over chains": Canvas(4, lambda s: chord([chain(s(), s()), s()], s())),
    "chord over groups": Canvas(4, lambda s: chord(group(group(s(), s()), s()), s())),
    "chord over chords": Canvas(5, lambda s: chord([chord([s(), s()], s()), s()], s())),
    "chain into group": Canvas(3, lambda s: chain(s(), group(s(), s()))),
    "group of a chain into a group": Canvas(4, lambda s: group(chain(s(), group(s(), s())), s())),
    "group of a chord": Canvas(4, lambda s: group(chord([s(), s()], s()), s())),
    "group of a chord with a chain as body": Canvas(5, lambda s: group(chord([s(), s()], chain(s(), s())), s())),
    "group of a chord with a group as body": Canvas(5, lambda s: group(chord([s(), s()], group(s(), s())), s())),
    "groups in groups": Canvas(4, lambda s: group(group(s(), group(s(), s())), s())),
    "group of a chain into a chord": Canvas(5, lambda s: group(chain(s(), chord([s(), s()], s())), s())),
    "group of a chain from a group": Canvas(5, lambda s: group(chain(group(s(), s()), s(), s()), s())),
    "chain from group to group": Canvas(5, lambda s: chain(group(s(), s()), s(), group(s(), s()))),
    "all of it": Canvas(7, lambda s: group(group(chain(group(s(), chord([s(), s()], s())), s()), s()), s())),
}
