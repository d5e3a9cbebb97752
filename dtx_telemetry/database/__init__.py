"""What a scope asked of the database: how many queries, for how long, and which statement most often.

Nothing of Django is patched: each connection has one more of its ``execute_wrappers``.
"""

from .queries import install

__all__ = ["install"]
