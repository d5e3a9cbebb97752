"""A minimal real Django project: it only adds the app, the middleware, the import and the decorator."""

from .celery import app as celery_app

__all__ = ["celery_app"]
