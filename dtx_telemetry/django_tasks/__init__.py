"""Django's own Tasks (``django.tasks``, from Django 6 on): the events and scopes of Celery's tasks, by three signals.

Its messages have no headers. The context goes along in the cache that ``TASKS_CACHE`` names, under the id of the task.
"""

from .receivers import install

__all__ = ["install"]
