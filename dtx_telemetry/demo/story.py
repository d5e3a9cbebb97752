"""Who clicks, on what, and what has to come of it: the names that the app, the browser and the summary share."""

from typing import Any, NamedTuple

__all__ = ["FIELDS", "HERO", "PATH", "PUSHED", "SOCKET_PATH", "STAGES", "USERNAME", "USER_ID", "Stage"]

USERNAME = "invoker"
USER_ID = 42
HERO = "Invoker"
SOCKET_PATH = "/ws/draft/5/"
PATH = "/api/tournaments/5/draft/12/"

#: What every line about the click has to bear besides its id.
FIELDS: dict[str, Any] = {"user.id": USER_ID, "labels": ["tournament", "draft"], "tournament.id": 5, "draft.id": 12}
#: What the browser has to get.
PUSHED = {"draft": 12, "hero": HERO, "role": "mid"}


class Stage(NamedTuple):
    """A part of the click: who, in which process, with which line of its own, and what its scope binds besides `FIELDS`."""

    who: str
    process: str
    event: str
    scope: tuple[str, ...]


STAGES = (
    Stage("the view", "web", "draft_pick_made", ()),
    Stage("the task", "worker", "draft_pick_announced", ("task.name", "task.id")),
    Stage("the consumer", "socket", "draft_pick_shown", ("ws.conn_id",)),
)
