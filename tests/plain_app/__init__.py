"""A Celery app without Django, for tests."""
