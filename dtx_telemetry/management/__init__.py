"""``manage.py telemetry``: what telemetry found in this project, and whether it works."""
