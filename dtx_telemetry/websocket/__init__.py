"""Channels consumers: the decorator, connections, messages, and the channel layer.

Its modules are imported when they are used: a Celery worker sends to channel layers and has no consumers.
"""

from ..errors import needs_extra

with needs_extra("channels", "channels", what=__name__):
    import channels  # noqa: F401 - said here, once, rather than at the first use

__all__: list[str] = []
