"""``python -m dtx_telemetry.demo``: one click through a view, a task and a consumer, in three processes, under one id.

The app that is clicked is in `tournament`, a project such as yours may be. All else here starts it, clicks and looks at the
lines.
"""
