"""A small tournament app: who picks a hero in a draft is seen by everybody who watches the tournament."""

from .celery import app as celery_app

__all__ = ["celery_app"]
